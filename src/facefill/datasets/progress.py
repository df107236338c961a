"""What long work shows: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

LINE_EVERY_S = 10.0


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Hand the items on and show on stderr how far they are. what: a verb, as "looking". total: None if unknown."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as bar

        yield from bar(items, what, total, console=Console(stderr=True), transient=True)
        return
    started = last = time.monotonic()
    of = f" of {total}" if total is not None else ""
    for count, item in enumerate(items):
        now = time.monotonic()
        if now - last >= LINE_EVERY_S:
            print(f"{what}: {count}{of}, {count / (now - started):.1f}/s", file=sys.stderr, flush=True)
            last = now
        yield item
