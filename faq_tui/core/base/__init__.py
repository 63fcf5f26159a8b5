"""What all parts of faq_tui need: errors, files, hashes, safe text, processes.

This package imports no other part of faq_tui.
"""
