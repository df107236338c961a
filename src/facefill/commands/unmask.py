"""`facefill unmask`: take the covers off the faces of photos."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facefill.commands.options import AsJson, Device, Exact, Large, Method, Overwrite, Seed, Sign, Threads
from facefill.commands.output import end, make_folder, open_signature, report, save_picture
from facefill.errors import InputError

if TYPE_CHECKING:
    from facefill.runtime.inpainter import Result


def unmask(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photos of covered faces.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File, or folder for several photos. Default: "
                                             "<stem>-unmasked<suffix> beside the photo.")] = None,
    method: Method = "swift", seed: Seed = 0, large_hole: Large = False,
    save_mask: Annotated[bool, typer.Option("--save-mask", help="Also write what was completed, white on black, "
                                            "as <stem>-mask.png.")] = False,
    device: Device = "cpu", threads: Threads = None, exact: Exact = False, overwrite: Overwrite = False,
    sign: Sign = None, as_json: AsJson = False,
) -> None:
    """Take face masks and other covers off the faces of photos."""
    from facefill.files.photo import check_output, read_photo
    from facefill.runtime.inpainter import open_inpainter

    signature = open_signature(sign)
    folder = out is not None and (len(photos) > 1 or out.is_dir())
    outputs = [_outputs(photo, out, folder, save_mask) for photo in photos]
    if len({path for paths in outputs for path in paths}) < sum(map(len, outputs)):
        raise InputError("photos with different names", "two of the same name", "run them into different folders")
    inpainter = open_inpainter(method, device=device, threads=threads, exact=exact)
    made = make_folder(out) if folder and out is not None else None

    def one(photo: Path, paths: list[Path]) -> Result:
        source = read_photo(photo, ahead=True)
        for path in paths:
            check_output(path, inputs=photos, overwrite=overwrite)
        plan = inpainter.plan_unmask(source, large_hole=large_hole)
        return inpainter.complete(plan, seed=seed, tell=True)

    failed = 0
    for photo, paths in zip(photos, outputs, strict=True):
        try:
            result = one(photo, paths)
            notes = result.save(paths[0], overwrite=overwrite, sign=signature)
            if save_mask:
                _save_mask(result, paths[1], overwrite)
            report(photo, paths[0], result, notes, as_json)
        except InputError as error:
            failed += 1
            if len(photos) == 1:
                raise
            _complain(error, photo, as_json)
    if made and failed == len(photos):
        made.rmdir()
    end(failed, len(photos), as_json)


def _outputs(photo: Path, out: Path | None, folder: bool, save_mask: bool) -> list[Path]:
    """Where the completed photo goes, and its mask where one is asked for."""
    if out is None:
        target = photo.with_name(f"{photo.stem}-unmasked{photo.suffix}")
    else:
        target = out / photo.name if folder else out
    return [target, target.with_name(f"{target.stem}-mask.png")] if save_mask else [target]


def _save_mask(result: Result, path: Path, overwrite: bool) -> None:
    import numpy as np

    save_picture(np.repeat(result.mask[..., None] * np.uint8(255), 3, 2), path, overwrite)


def _complain(error: InputError, photo: Path, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"photo": str(photo), "error": str(error)}), flush=True)
    print(f"{photo}: {error}", file=sys.stderr)
