"""`facefill unmask`: take the covers off the faces of photos."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facefill.commands import options, output
from facefill.errors import InputError, explained


def unmask(
    photos: Annotated[list[str], Argument(metavar="PHOTO...", help="Photos of covered faces; - is standard input.")],
    out: Annotated[
        str | None,
        Option(
            "-o",
            "--out",
            help="File, or folder for several; - is standard output. Default: <stem>-unmasked<suffix> beside it.",
        ),
    ] = None,
    method: options.Method = "swift",
    seed: options.Seed = 0,
    large_hole: options.Large = False,
    save_mask: Annotated[
        bool, Option("--save-mask", help="Also write what was completed, white on black, as <stem>-mask.png.")
    ] = False,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    exact: options.Exact = False,
    overwrite: options.Overwrite = False,
    sign: options.Sign = None,
    as_json: options.AsJson = False,
    covers: options.Covers = "all",
    finder: options.Finder = None,
) -> None:
    """Take face masks and other covers off the faces of photos."""
    import numpy as np

    from facefill.files.photo import check_output
    from facefill.runtime.cover import read_kinds
    from facefill.runtime.inpainter import open_inpainter

    signature, folder = output.open_signature(sign), _folder(photos, out)
    to_stdout = _goes_to_stdout(photos, out, save_mask)
    outputs = [[] if to_stdout else _outputs(photo, out, folder, save_mask) for photo in photos]
    if len({path for paths in outputs for path in paths}) < sum(map(len, outputs)):
        raise InputError("photos with different names", "two of the same name", "run them into different folders")
    kinds = read_kinds(covers)
    inpainter = open_inpainter(method, device=device, threads=threads, exact=exact, finder=finder)
    made = folder if folder and not folder.is_dir() else None
    if made:
        with explained("a folder to write to", made, "choose another with -o"):
            made.mkdir(parents=True)

    failed, inputs = 0, [Path(photo) for photo in photos if photo != output.STREAM]
    for photo, paths in zip(photos, outputs, strict=True):
        try:
            source = output.read_source(photo)
            for path in paths:
                check_output(path, inputs=inputs, overwrite=overwrite)
            plan = inpainter.plan_unmask(source, covers=kinds, large_hole=large_hole)
            result = inpainter.complete(plan, seed=seed, tell=True)
            target = None if to_stdout else paths[0]
            notes = output.save(result, target, overwrite, signature)
            if save_mask:
                output.save_picture(np.repeat(result.mask[..., None] * np.uint8(255), 3, 2), paths[1], overwrite)
            output.report(photo, target, result, notes, as_json)
        except InputError as error:
            failed += 1
            if len(photos) == 1:
                raise
            if as_json:
                print(json.dumps({"photo": photo, "error": str(error)}), flush=True)
            print(f"{photo}: {error}", file=sys.stderr)
    if made and failed == len(photos):
        made.rmdir()
    output.end(failed, len(photos), as_json, to_stdout)


def _folder(photos: list[str], out: str | None) -> Path | None:
    """The folder for the results; None if they go to one file or beside their photos."""
    from facefill.files.photo import FORMATS

    if out is None or out == output.STREAM:
        return None
    if not out:
        raise InputError("a file or folder to write to", "an empty name", "name one with -o")
    folder = Path(out)
    if len(photos) == 1 or folder.is_dir():
        return folder if folder.is_dir() else None
    suffixes = {suffix for entry in FORMATS.values() for suffix in entry.suffixes}
    if folder.suffix.lower() in suffixes and not out.endswith(("/", os.sep)):
        raise InputError("a folder for several photos", f"the file name {out}", "name a folder with -o")
    return folder


def _goes_to_stdout(photos: list[str], out: str | None, save_mask: bool) -> bool:
    if output.STREAM in (*photos, out) and len(photos) > 1:
        raise InputError("one photo with -", f"{len(photos)} of them", "complete them one at a time")
    if out != output.STREAM and not (out is None and photos == [output.STREAM]):
        return False
    if save_mask:
        raise InputError("a file to write to with --save-mask", "standard output", "name one with -o")
    output.check_stdout()
    return True


def _outputs(photo: str, out: str | None, folder: Path | None, save_mask: bool) -> list[Path]:
    """The paths of the completed photo and of its mask, if one is wanted."""
    path = Path(photo)
    if not path.name:  # no file has such a name; reading it says so
        return []
    if folder:
        target = folder / path.name
    else:
        target = Path(out) if out else path.with_name(f"{path.stem}-unmasked{path.suffix}")
    return [target, target.with_name(f"{target.stem}-mask.png")] if save_mask else [target]
