"""Basics for every layer: errors, files, hashes, safe text, processes. It imports no other part of faq_tui."""
