"""Pane 4 shows the activation spikes on each calibration set."""
