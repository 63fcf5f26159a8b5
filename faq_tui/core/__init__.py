"""The pipeline: no screen, no printing, and torch only inside the functions that need it."""
