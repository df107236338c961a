"""What a method says while it completes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.doubts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.doubts.append(record.getMessage())
        else:
            print(record.getMessage(), file=sys.stderr)


@contextmanager
def listening() -> Iterator[list[str]]:
    """Collect what methods doubt, to stand with a photo's other warnings; what else they tell goes to stderr."""
    log, listener = logging.getLogger("facefill"), _Listener()
    before = log.level
    log.addHandler(listener)
    log.setLevel(logging.INFO)
    try:
        yield listener.doubts
    finally:
        log.removeHandler(listener)
        log.setLevel(before)
