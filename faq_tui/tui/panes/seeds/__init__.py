"""Pane 1 shows the seeds. The user can browse, search, filter, exclude and tag them."""
