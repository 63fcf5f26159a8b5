"""One module a pane, one stylesheet and one list of actions beside it."""
