"""Pane 6: whether quantizing on the regenerated data helped."""
