"""Keep messages between two libraries out of the worker's log, because a person can do nothing about them.

Only messages whose text is known are left out. All other warnings stay in the log.
"""

from __future__ import annotations

import logging

# Maps a logger to a part of the messages that are left out.
LEFT_OUT = {
    # torchao registers enums with torch when transformers imports it.
    "torch.utils._pytree": "register_constant() on Enum subclasses is deprecated",
}


def filter_log() -> None:
    """Leave out the messages in `LEFT_OUT`. Call this function before the libraries are imported."""
    for name in LEFT_OUT:
        logging.getLogger(name).addFilter(_is_shown)


def _is_shown(record: logging.LogRecord) -> bool:
    return LEFT_OUT[record.name] not in record.getMessage()
