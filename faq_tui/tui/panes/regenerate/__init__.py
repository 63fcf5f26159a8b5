"""Pane 2: candidates as they stream in."""
