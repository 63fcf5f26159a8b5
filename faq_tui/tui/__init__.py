"""The app. It uses core only through events, jobs and the database. Its process never loads torch."""

import os

# Textual reads this variable when it is imported. A higher frame rate shows the effect of a key sooner. The app has
# no animations, so this does not increase the number of frames.
os.environ.setdefault("TEXTUAL_FPS", "240")
