"""Draw plots as text for a terminal. Each function gets numbers and a size, and has no side effects."""
