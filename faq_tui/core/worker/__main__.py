"""Start the child: `python -m faq_tui.core.worker TASK CHANNEL_FD`.

No other module imports this one, so Python does not warn that the program's module is imported already.
"""

from faq_tui.core.worker.child import main

if __name__ == "__main__":
    main()
