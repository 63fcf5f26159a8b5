"""The judges. base.py defines the base class; the other files define faq-tui's three judges."""
