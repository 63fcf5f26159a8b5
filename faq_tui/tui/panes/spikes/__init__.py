"""Pane 4: activation spikes on each calibration set."""
