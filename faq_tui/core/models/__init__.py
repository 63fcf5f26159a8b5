"""Model folders: their location, their content, and how a worker child loads them."""
