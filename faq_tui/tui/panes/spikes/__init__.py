"""Pane 4: activation spikes under each calibration set."""
