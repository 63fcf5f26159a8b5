"""Pane 1: browse, search, filter, exclude and tag the seeds."""
