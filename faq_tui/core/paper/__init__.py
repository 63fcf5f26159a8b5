"""The numbers of the FAQ paper (arXiv 2601.11200) as data, and presets for its experiments."""
