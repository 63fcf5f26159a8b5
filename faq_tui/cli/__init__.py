"""The command line. Commands run the same stages as the app. Data goes to stdout, messages go to stderr."""
