"""What a method itself warns of while it draws; what speaks against a completion beforehand is in `face_warnings`."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Warnings = list[tuple[str, list[int]]]
"""Sentences, and which pictures of the method's batch each is about."""

_COLLECTORS: "ContextVar[tuple[_Collector, ...]]" = ContextVar("collectors", default=())


class _Collector(logging.Handler):
    """Takes down what the methods of its own context warn of; other threads have collectors of their own."""

    def __init__(self, tell: bool) -> None:
        super().__init__()
        self.warnings: Warnings = []
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        if self not in _COLLECTORS.get():
            return
        if hasattr(record, "warning"):
            self.warnings.append((record.warning, record.rows))  # type: ignore[attr-defined]
        elif self._tell:
            print(record.getMessage(), file=sys.stderr)


@contextmanager
def collect_warnings(*, tell: bool = False) -> Iterator[Warnings]:
    """Collect what methods warn of: records of the log `facefill` with `warning`, a sentence, and `rows`.

    tell: print their other records on stderr; for a program that completes in one thread.
    """
    log, collector = logging.getLogger("facefill"), _Collector(tell)
    before = log.level
    log.addHandler(collector)
    context = _COLLECTORS.set((*_COLLECTORS.get(), collector))
    if tell:
        log.setLevel(logging.INFO)
    try:
        yield collector.warnings
    finally:
        _COLLECTORS.reset(context)
        log.removeHandler(collector)
        if tell:
            log.setLevel(before)
