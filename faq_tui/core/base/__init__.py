"""Functions that all parts of faq_tui use: for errors, files, hashes, safe text and processes.

This package imports no other part of faq_tui.
"""
