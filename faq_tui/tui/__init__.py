"""The terminal app.

The app uses core only through events, jobs and the database. The app's process never loads torch.
"""

import os

# Textual reads the variable TEXTUAL_FPS when Textual is imported. With a higher frame rate, the effect of a key is
# shown sooner. A higher frame rate costs nothing here: without animations, the app draws only after a change.
os.environ.setdefault("TEXTUAL_FPS", "240")
