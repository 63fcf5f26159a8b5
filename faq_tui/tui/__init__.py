"""The app. It uses core only through events, jobs and the database. Its process never loads torch."""

import os

# Textual reads this variable when it is imported. With a higher frame rate, the effect of a key is shown sooner. The
# app does not draw more frames than before, because it has no animations.
os.environ.setdefault("TEXTUAL_FPS", "240")
