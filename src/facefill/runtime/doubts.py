"""What a method doubts of its own completions."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from facefill.runtime.plan import Plan


@dataclass(frozen=True)
class Doubts:
    """What a method said while it completed some crops."""

    said: list[tuple[str, list[int]]] = field(default_factory=list)
    """Each sentence, and which pictures of the method's batch it is about; all crops' second samples follow all first
    ones."""

    def of(self, plans: Sequence[Plan]) -> list[tuple[str, ...]]:
        """Shared out to the plans whose crops they were."""
        places = [place for place, plan in enumerate(plans) for _ in plan.tasks]
        shares: list[tuple[str, ...]] = [()] * len(plans)
        for text, rows in self.said:
            counts = Counter(places[crop] for crop in {row % len(places) for row in rows})
            for place, count in counts.items():
                shares[place] += (f"{count} of {len(plans[place].tasks)} crops: {text}",)
        return shares


_HEARD: ContextVar[tuple[_Listener, ...]] = ContextVar("heard", default=())


class _Listener(logging.Handler):
    """Takes down what the methods of its own context doubt; other threads have listeners of their own."""

    def __init__(self, tell: bool) -> None:
        super().__init__()
        self.doubts, self._tell = Doubts(), tell

    def emit(self, record: logging.LogRecord) -> None:
        if self not in _HEARD.get():
            return
        if hasattr(record, "doubt"):
            self.doubts.said.append((record.doubt, record.rows))  # type: ignore[attr-defined]
        elif self._tell:
            print(record.getMessage(), file=sys.stderr)


@contextmanager
def listening(*, tell: bool = False) -> Iterator[Doubts]:
    """Collect what methods doubt, for `Inpainter.finish` to put among a photo's warnings.

    tell: print what else they say on stderr; for a program that completes in one thread.
    """
    log, listener = logging.getLogger("facefill"), _Listener(tell)
    before = log.level
    log.addHandler(listener)
    context = _HEARD.set((*_HEARD.get(), listener))
    if tell:
        log.setLevel(logging.INFO)
    try:
        yield listener.doubts
    finally:
        _HEARD.reset(context)
        log.removeHandler(listener)
        if tell:
            log.setLevel(before)
