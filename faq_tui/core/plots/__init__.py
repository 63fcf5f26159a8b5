"""Plots as text for a terminal: pure functions of numbers and a size."""
