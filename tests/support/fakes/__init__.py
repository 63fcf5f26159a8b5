"""Stand-ins that speak for real: see `fake_server`."""
