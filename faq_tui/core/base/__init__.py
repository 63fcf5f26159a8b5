"""What every layer uses: errors, files, hashes, safe text, processes. It imports nothing else of faq_tui."""
