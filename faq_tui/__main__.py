"""`python -m faq_tui` is the command `faq-tui`."""

from faq_tui.cli.main import main

if __name__ == "__main__":
    main()
