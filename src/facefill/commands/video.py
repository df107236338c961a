"""`facefill video`: take the covers off the faces of a film."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from facefill.commands.options import Device, Exact, Method, Overwrite, Threads, need
from facefill.runtime.pace import DRAWN_EVERY

if TYPE_CHECKING:
    from facefill.video.run import Second


def video(
    source: Annotated[Path, Argument(metavar="IN", help="A film: .mp4, .mov, .mkv, .webm ...")],
    target: Annotated[
        Path,
        Argument(
            metavar="OUT",
            help="The film to write: .mp4, .mov, .m4v, .mkv or .webm. The same command goes on where it was stopped.",
        ),
    ],
    method: Method = "swift",
    every: Annotated[
        int,
        Option(
            min=1,
            metavar="N",
            help="Draw each face in every N-th frame at least, and wherever it changes; 1: in every frame.",
        ),
    ] = DRAWN_EVERY,
    device: Device = "cpu",
    threads: Threads = None,
    exact: Exact = False,
    overwrite: Overwrite = False,
    as_json: Annotated[bool, Option("--json", help="Print one JSON object per second of the film.")] = False,
) -> None:
    """Take the covers off all faces of a film; sound and time stamps stay (needs the extra `video`)."""
    need("video", "av")
    from facefill.runtime.engine import thread_count
    from facefill.runtime.helpers import open_cover, open_finder
    from facefill.runtime.inpainter import HONEST
    from facefill.runtime.model import load
    from facefill.runtime.stream import Stream
    from facefill.video.run import convert

    # Two threads work on a film, one on the frame after the other's.
    options: Any = {"device": device, "threads": max(1, thread_count(threads) // 2), "exact": exact}
    model, finder, cover = load(method, **options), open_finder(**options), open_cover(**options)
    job = {"method": model.name, "weights": model.sha256, "device": device, "exact": exact, "every": every}
    done = convert(
        source,
        target,
        lambda: Stream(finder, cover, model, every=every),
        job,
        overwrite=overwrite,
        tell=(lambda second, _: print(json.dumps(asdict(second)), flush=True)) if as_json else _tell,
    )
    said: Any = sys.stderr if as_json else sys.stdout
    if not as_json and sys.stderr.isatty():
        print(file=sys.stderr)
    again = f", {done.resumed} of them by an earlier run" if done.resumed else ""
    print(f"{source} -> {target}: {done.frames} frames{again}", file=said, flush=True)
    for line in done.left_out:
        print(f"{source}: {line} is not copied", file=sys.stderr)
    print(HONEST, file=said)


def _tell(second: Second, length_s: float) -> None:
    """A line that is overwritten on a terminal; elsewhere, a line for every ten seconds of the film."""
    share = f" of {length_s:.0f} s" if length_s else " s"
    line = f"{second.second + 1}{share}: {second.faces} faces, {second.completed} of {second.frames} frames completed"
    if sys.stderr.isatty():
        print(f"\r{line:<70}", end="", file=sys.stderr, flush=True)
    elif second.second % 10 == 9:
        print(line, file=sys.stderr, flush=True)
