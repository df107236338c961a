"""What a method doubts of its own completions."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Said = list[tuple[str, list[int]]]
"""Sentences, and which pictures of the method's batch each is about."""


_HEARD: ContextVar[tuple[_Listener, ...]] = ContextVar("heard", default=())


class _Listener(logging.Handler):
    """Takes down what the methods of its own context doubt; other threads have listeners of their own."""

    def __init__(self, tell: bool) -> None:
        super().__init__()
        self.said: Said = []
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        if self not in _HEARD.get():
            return
        if hasattr(record, "doubt"):
            self.said.append((record.doubt, record.rows))  # type: ignore[attr-defined]
        elif self._tell:
            print(record.getMessage(), file=sys.stderr)


@contextmanager
def listening(*, tell: bool = False) -> Iterator[Said]:
    """Collect what methods doubt.

    tell: print what else they say on stderr; for a program that completes in one thread.
    """
    log, listener = logging.getLogger("facefill"), _Listener(tell)
    before = log.level
    log.addHandler(listener)
    context = _HEARD.set((*_HEARD.get(), listener))
    if tell:
        log.setLevel(logging.INFO)
    try:
        yield listener.said
    finally:
        _HEARD.reset(context)
        log.removeHandler(listener)
        if tell:
            log.setLevel(before)
