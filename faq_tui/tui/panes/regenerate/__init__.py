"""Pane 2 shows the candidates while they are generated."""
