"""Screens that cover the panes temporarily: questions, forms and help."""
