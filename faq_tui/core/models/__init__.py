"""Find model folders, read their content, and load models in a worker process."""
