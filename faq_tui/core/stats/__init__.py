"""Statistics on plain arrays: bootstrap intervals, Student's t, AUC, corrections for many comparisons."""
