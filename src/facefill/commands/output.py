"""What commands that complete photos print and write."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from facefill.errors import InputError

if TYPE_CHECKING:
    from facefill.runtime.inpainter import Result


def open_signature(path: Path | None) -> Any:
    """Read before any work, and once for all photos."""
    from facefill.files.signature import read_signature

    return read_signature(path) if path else None


def make_folder(out: Path) -> Path | None:
    """The folder, if it had to be made."""
    if out.is_dir():
        return None
    try:
        out.mkdir(parents=True)
    except OSError as error:
        raise InputError("a folder to write to", f"{out}: {error.strerror}", "choose another with -o") from None
    return out


def save_picture(picture: Any, path: Path, overwrite: bool) -> None:
    import numpy as np

    from facefill.files.photo import read_photo, write_photo

    write_photo(read_photo(picture), picture, np.ones(picture.shape[:2], bool), path, overwrite=overwrite)


def report(photo: Path, target: Path, result: Result, notes: tuple[str, ...], as_json: bool) -> None:
    from facefill.runtime.inpainter import HONEST

    done = [face for face in result.faces if face.missing.any()]
    said = [*result.warnings, *notes]
    if as_json:
        print(json.dumps({
            "photo": str(photo), "out": str(target), "completed_px": int(result.mask.sum()), "warnings": said,
            "faces": [{
                "box": [round(value, 1) for value in face.box], "landmarks": face.landmarks.round(1).tolist(),
                "score": round(face.score, 3), "completed_px": int(face.missing.sum()),
                "warnings": list(face.warnings),
            } for face in result.faces], "invented": HONEST,
        }), flush=True)
        return
    faces = f"{len(done)} of {len(result.faces)} faces" if done else "the hole"
    print(f"{photo} -> {target}: completed {faces}", flush=True)
    for warning in said:
        print(f"{photo}: {warning}", file=sys.stderr)


def end(failed: int, count: int, as_json: bool) -> None:
    if failed < count and not as_json:
        from facefill.runtime.inpainter import HONEST

        print(HONEST)
    if failed:
        raise typer.Exit(2 if failed == count else 3)


def list_left_out(left_out: tuple[str, ...]) -> None:
    """Print what was left out; exit code 3 where that is anything."""
    for line in left_out:
        print(line, file=sys.stderr)
    if left_out:
        raise typer.Exit(3)
