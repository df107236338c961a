"""`facefill wear`: put covers on aligned faces."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from facefill.commands.options import Device, Threads
from facefill.commands.output import list_left_out


def wear(
    faces: Annotated[Path, Argument(metavar="FACES", help="A dataset of aligned faces.")],
    out: Annotated[Path, Argument(metavar="OUT", help="The folder to write.")],
    seed: Annotated[
        int,
        Option(
            min=0,
            help="Seed of the random numbers; which cover a face gets depends on it and on the face's file name only.",
        ),
    ] = 0,
    split: Annotated[str | None, Option(help="Use only this split of the manifest.")] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace a dataset in OUT.")] = False,
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Put covers on faces: worn pictures, true masks, the truth, and a manifest."""
    from facefill.datasets.worn import wear_faces
    from facefill.runtime.helpers import open_finder

    done = wear_faces(
        faces, out, seed, split=split, overwrite=overwrite, finder=lambda: open_finder(device=device, threads=threads)
    )
    print(f"{out}: {done.faces} covered faces, {len(done.refused)} refused\nsha256 {done.sha256}")
    list_left_out(done.refused)
