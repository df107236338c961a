"""What one sees of a run: log.jsonl, TensorBoard where it is installed, samples/, a line on the terminal."""

import json
import math
from pathlib import Path
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from facefill.arrays import U8
from facefill.files.photo import read_photo, write_photo


class RunLog:
    """Opens a run's log to go on behind `shown` pictures: later lines, of a run that was cut, are dropped."""

    def __init__(self, run: Path, shown: int, total: int) -> None:
        self._run, self._total = run, total
        console, losses = Console(stderr=True), TextColumn("{task.fields[losses]}")
        columns = (BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn(), losses)
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=total, completed=shown, losses="")
        path = run / "log.jsonl"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        kept = [line for line in lines if _shown_at(line) <= shown]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(run / "events"), purge_step=shown)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._bar.stop()
        if self._board is not None:
            self._board.close()

    def write(self, shown: int, values: dict[str, float]) -> None:
        """One line of values, with the clock in front."""
        row = {"shown": shown, **{name: round(float(value), 6) for name, value in values.items()}}
        print(json.dumps(row), file=self._file, flush=True)
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, shown)
        left_s = (self._total - shown) / max(values.get("images_per_s", 0.0), 1e-9)
        text = " ".join(f"{name} {value:.4g}" for name, value in values.items())
        line = f"{shown}/{self._total} {text} left {left_s / 60:.0f} min"
        if self._bar.disable:
            print(line, flush=True)
        else:
            self._bar.console.print(line, highlight=False)

    def tick(self, shown: int, losses: dict[str, float]) -> None:
        """Move the bar of a terminal on. losses: of the last step."""
        text = " ".join(f"{name} {value:.3g}" for name, value in losses.items())
        self._bar.update(self._task, completed=shown, losses=text)

    def show(self, shown: int, rows: list[U8]) -> None:
        """Rows of equally large pictures, (N, H, W, 3) each, as samples/<shown>.png."""
        sheet = np.concatenate([np.concatenate(list(row), 1) for row in rows])
        path = self._run / "samples" / f"{shown:09d}.png"
        path.parent.mkdir(exist_ok=True)
        write_photo(read_photo(sheet), sheet, np.zeros(sheet.shape[:2], bool), path, overwrite=True)
        if self._board is not None:
            self._board.add_image("samples", sheet, shown, dataformats="HWC")


def _shown_at(line: str) -> float:
    """Pictures that a line of the log stands at; infinite for a damaged one, such as a killed process leaves."""
    try:
        return float(json.loads(line)["shown"])
    except (ValueError, TypeError, KeyError):
        return math.inf


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.1f}/s")
