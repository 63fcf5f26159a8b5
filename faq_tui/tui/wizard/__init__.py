"""The wizard that creates a run in five steps. The answers are checked while the user types."""
