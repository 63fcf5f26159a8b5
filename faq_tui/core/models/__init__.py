"""Model folders: where they are, what they hold, and how they are loaded in a worker child."""
