"""The folder of a run (settings, database, files), the context of a stage, and the events that a stage emits."""
