"""Pane 3 shows candidates with their scores, and the person's picks."""
