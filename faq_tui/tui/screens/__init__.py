"""Screens that cover the panes for a moment: questions, forms and help."""
