"""Basics for every layer: errors, files, hashes, safe text, processes. They import no other part of faq_tui."""
