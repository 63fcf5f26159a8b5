"""Pane 2: candidates while they are generated."""
