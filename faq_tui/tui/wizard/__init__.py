"""The wizard that creates a run: five steps, whose answers are checked while the user types."""
