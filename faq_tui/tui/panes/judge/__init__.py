"""Pane 3: candidates with their scores, and the person's picks."""
