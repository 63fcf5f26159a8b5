"""The screen Try it: several models answer one prompt side by side."""
