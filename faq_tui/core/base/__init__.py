"""Basics for every layer: errors, files, hashes, safe text, processes.

This package imports no other part of faq_tui.
"""
