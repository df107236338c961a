"""How commands that complete photos read, write and report. "-" is the standard input or output."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from facefill.errors import InputError

if TYPE_CHECKING:
    from facefill.arrays import Bool
    from facefill.files.photo import Photo
    from facefill.runtime.inpainter import Result

STREAM = "-"


def read_source(photo: str) -> Photo:
    """Read a photo from a file or from standard input. Raises InputError."""
    from facefill.files.photo import read_photo

    if photo and photo != STREAM and Path(photo).is_dir():
        fix = f"name a file; for all photos of a folder: facefill batch {photo} OUT"
        raise InputError("a photo file", f"the folder {photo}", fix)
    return read_photo(open_given(photo, "photo"))


def open_given(name: str, what: str) -> Path | BinaryIO:
    """The path of a file, or standard input. Raises InputError for an empty name."""
    if name == STREAM:
        return sys.stdin.buffer
    if not name:
        raise InputError(f"a {what} file", "an empty name", "name a file")
    return Path(name)


def open_signature(path: Path | None) -> Any:
    """Read the key once, before any work."""
    from facefill.files.provenance import read_signature

    return read_signature(path) if path else None


def save(result: Result, target: Path | None, overwrite: bool, signature: Any) -> tuple[str, ...]:
    """Write the file; None: to standard output, in the photo's own format. Returns what the format could not hold."""
    notes = result.save(target or sys.stdout.buffer, overwrite=overwrite, sign=signature)
    sys.stdout.flush()
    return notes


def check_stdout() -> None:
    """Raises InputError if a photo would be printed to a terminal."""
    if sys.stdout.isatty():
        raise InputError("a file or a pipe for the photo", "a terminal", "redirect it with > FILE, or name one with -o")


def save_picture(picture: Any, path: Path, overwrite: bool) -> None:
    """Write a picture that was not a photo before: (H, W, 3) uint8 RGB."""
    import numpy as np

    from facefill.files.photo import read_photo, write_photo

    write_photo(read_photo(picture), picture, np.ones(picture.shape[:2], bool), path, overwrite=overwrite)


def report(
    photo: str, target: Path | None, result: Result, notes: tuple[str, ...], as_json: bool, hole: Bool | None = None
) -> None:
    """Say what was completed and what was not. hole: what the user asked for; None: what covers the faces."""
    said, out = [*result.warnings, *notes], sys.stdout if target else sys.stderr
    if as_json:
        print(json.dumps(_record(photo, target, result, said, hole)), file=out, flush=True)
        return
    done = sum(bool(face.missing.any()) for face in result.faces)
    what = f"{done} of {len(result.faces)} faces" if hole is None else _share_of(hole, result, done)
    print(f"{photo} -> {target or STREAM}: completed {what}", file=out, flush=True)
    for warning in said:
        print(f"{photo}: {warning}", file=sys.stderr)


def _share_of(hole: Bool, result: Result, faces: int) -> str:
    import numpy as np

    asked, done = int(hole.sum()), int(result.mask.sum())
    on_faces = np.zeros_like(result.mask)
    for face in result.faces:
        on_faces[face.window] |= face.missing
    places = [f"on {faces} face" if faces == 1 else f"on {faces} faces"] if faces else []
    places += ["beside the faces"] if result.faces and (result.mask & ~on_faces).any() else []
    where = f" ({' and '.join(places)})" if places else ""
    if done == asked:
        return f"the hole{where}"
    return f"{done / asked:.0%} of the hole{where}; left {1 - done / asked:.0%} as it is"


def _record(photo: str, target: Path | None, result: Result, said: list[str], hole: Bool | None) -> dict[str, Any]:
    from facefill.runtime.inpainter import HONEST

    height, width = result.mask.shape
    return {
        "photo": photo,
        "out": str(target or STREAM),
        "width": width,
        "height": height,
        "format": result.source.format,
        "method": result.provenance.method,
        "seed": result.provenance.seed,
        "weights_sha256": result.provenance.weights_sha256,
        "completed_px": int(result.mask.sum()),
        **({} if hole is None else {"hole_px": int(hole.sum())}),
        "warnings": said,
        "faces": [
            {
                "box": [round(value, 1) for value in face.box],
                "landmarks": face.landmarks.round(1).tolist(),
                "score": round(face.score, 3),
                "completed_px": int(face.missing.sum()),
                "covers": list(face.covers),
                "left_on": list(face.left_on),
                "cut": face.cut,
                "warnings": list(face.warnings),
            }
            for face in result.faces
        ],
        "invented": HONEST,
    }


def end(failed: int, count: int, as_json: bool, to_stdout: bool = False) -> None:
    """Print the last line and return the exit code: 0; 2 if all photos failed, 3 if some did."""
    if failed < count and not as_json:
        from facefill.runtime.inpainter import HONEST

        print(HONEST, file=sys.stderr if to_stdout else sys.stdout)
    if failed:
        raise typer.Exit(2 if failed == count else 3)


def list_left_out(left_out: tuple[str, ...]) -> None:
    """Print what was left out; the exit code is 3 if anything was."""
    for line in left_out:
        print(line, file=sys.stderr)
    if left_out:
        raise typer.Exit(3)
