"""A run's folder with settings and database, the context of a stage, and the events it emits."""
