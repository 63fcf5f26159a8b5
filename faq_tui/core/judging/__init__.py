"""Marks for candidates, and which candidate they make the pick."""
