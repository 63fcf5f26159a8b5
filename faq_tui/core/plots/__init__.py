"""Plots as text for a terminal: functions of numbers and a size, without side effects."""
