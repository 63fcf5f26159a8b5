"""The pipeline. It has no screen and prints nothing. It imports torch only inside the functions that need torch."""
