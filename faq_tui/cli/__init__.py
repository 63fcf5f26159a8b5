"""The command line. It runs the same stages as the app. Data goes to stdout, messages go to stderr."""
