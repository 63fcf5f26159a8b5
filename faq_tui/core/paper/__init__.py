"""The FAQ paper's own numbers (arXiv 2601.11200), as data."""
