"""Basics for every layer: errors, files, hashes, safe text, processes. It imports nothing else of faq_tui."""
