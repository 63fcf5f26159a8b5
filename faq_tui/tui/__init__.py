"""The app. It talks to core through events, jobs and the store only; torch is never loaded in its process."""

import os

# How long a key's effect may wait behind a frame just drawn; Textual reads it when it is imported. Nothing here is
# animated, so more frames are not drawn for it.
os.environ.setdefault("TEXTUAL_FPS", "240")
