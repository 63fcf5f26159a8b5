"""Judges score candidates, and the scores decide which candidate a seed uses."""
