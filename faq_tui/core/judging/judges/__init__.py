"""The kinds of judge: base.py says what each is, the others are faq-tui's three."""
