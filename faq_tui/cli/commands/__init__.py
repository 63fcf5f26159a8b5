"""One module per command. Each module has a click command named `command`."""
