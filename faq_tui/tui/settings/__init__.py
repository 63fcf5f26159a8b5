"""The settings of a run in the app: a form over `faq.toml`, the person's editor, and the thread that watches it."""
