"""Progress of a run: how far, how fast, how much longer, what failed."""

import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from facefill.batch.bucket import Folder
from facefill.batch.folder import Selection
from facefill.errors import InputError

LINE_EVERY_S = 10.0


@dataclass
class Tally:
    """What has become of the photos so far."""

    done: Counter[str] = field(default_factory=Counter)
    """Photos of this run, by status."""
    before: Counter[str] = field(default_factory=Counter)
    """Done by earlier runs, by status; untouched by this one."""
    faces: int = 0
    """Completed in this run."""
    seconds: float = 0.0
    """How long this run takes, from the first photo handed out."""
    stopped: str = ""
    """Why the run ended before its photos did."""
    without_suffix: int = 0
    """Files of IN that may be photos, but whose names do not say so."""
    damaged_lines: int = 0
    """Lines of the manifest that are no JSON; what they were about was done again."""

    def miss(self) -> None:
        """Count a file without a suffix."""
        self.without_suffix += 1

    @property
    def left_out(self) -> int:
        """Photos of the folder without a result."""
        return sum(self.done[status] + self.before[status] for status in ("refused", "failed"))

    @property
    def settled(self) -> int:
        """Number of photos with a known outcome."""
        return self.done.total() + self.before.total()

    def __str__(self) -> str:
        parts = [f"{self.done['completed']} photos completed ({self.faces} faces)"]
        parts += [f"{self.done[status]} {status}" for status in ("refused", "failed") if self.done[status]]
        if earlier := self.before.total():
            also = ", ".join(f"{self.before[status]} {status}" for status in ("refused",) if self.before[status])
            parts.append(f"{earlier} done before" + (f" ({also})" if also else ""))
        if self.without_suffix:
            parts.append(f"{self.without_suffix} files without a suffix left out (--include '*' takes them)")
        if self.damaged_lines:
            parts.append(f"{self.damaged_lines} damaged lines of the manifest dropped")
        rate = f", {self.done.total() / self.seconds:.2f} photos/s" if self.seconds and self.done.total() else ""
        return ", ".join(parts) + rate + (f"; stopped: {self.stopped}" if self.stopped else "")


class Display:
    """A bar on a terminal, plain lines elsewhere, on stderr; use as a context.

    The photos are counted in a thread beside, so that the time left can be told although they are not all known.
    """

    def __init__(self, source: Folder, select: Selection, tally: Tally) -> None:
        self._tally, self._total, self._counted = tally, 0, False
        self._began = self._shown = time.monotonic()
        self._ended = False
        self._bar: Any = None
        threading.Thread(target=self._count, args=(source, select), daemon=True).start()

    def _count(self, source: Folder, select: Selection) -> None:
        try:
            for _ in source.entries(select):
                self._total += 1
                if self._ended:
                    return
        except InputError:  # the run itself meets it, and says it
            return
        self._counted = True

    def __enter__(self) -> "Display":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
            self._bar.add_task("", total=None)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        if self._bar:
            self._shown = 0.0
            self.show()
            self._bar.stop()

    def show(self) -> None:
        """Print the progress, but not too often."""
        now = time.monotonic()
        if now - self._shown < (0.2 if self._bar else LINE_EVERY_S):
            return
        self._shown = now
        if self._bar:
            total = self._total if self._counted else None
            self._bar.update(0, description=self.text(now), completed=self._tally.settled, total=total)
        else:
            print(self.text(now), file=sys.stderr, flush=True)

    def text(self, now: float) -> str:
        """One line."""
        tally = self._tally
        rate = tally.done.total() / max(1e-9, now - self._began)
        of = f"{self._total}" if self._counted else f"{max(self._total, tally.settled)} or more"
        parts = [f"{tally.settled} of {of} photos", f"{rate:.1f}/s"]
        if self._counted and rate:
            parts.append(f"{_duration(max(0, self._total - tally.settled) / rate)} left")
        parts += [f"{tally.done[status]} {status}" for status in ("failed", "refused") if tally.done[status]]
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    """A duration in words.

    >>> _duration(42), _duration(600), _duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
