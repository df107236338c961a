"""Options that several commands share, and what a command needs to be installed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from facefill.errors import InputError

Method = Annotated[str, typer.Option("--method", "-m", help="Which method completes; `facefill methods` lists them.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers; the same seed gives the same picture.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, coreml or directml.")]
Threads = Annotated[
    int | None, typer.Option(help="Number of threads. Default: FACEFILL_THREADS, else what the machine allows.")
]
Exact = Annotated[bool, typer.Option("--exact", help="Compute in float32: slower, the same on all machines.")]
Covers = Annotated[
    str,
    typer.Option(
        help="What to take off: mask, sunglasses, other (hands, things), several with commas between, or all."
    ),
]
Finder = Annotated[Path | None, typer.Option(help="Find faces with this YuNet .onnx file instead.")]
Large = Annotated[bool, typer.Option("--large-hole", help="Also complete a face with more than 60 % missing.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing output files.")]
Sign = Annotated[
    Path | None,
    typer.Option(
        help="A PEM file with your private key and its certificates: signs a C2PA manifest of what was completed."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per photo.")]


def need(extra: str, *packages: str) -> None:
    """Raises InputError for the first package that is not installed. extra: installs them."""
    for package in packages:
        if find_spec(package) is None:
            raise InputError(f"the package {package}", "none installed", f"pip install 'facefill[{extra}]'")


def new_file(out: Path, suffix: str, overwrite: bool) -> Path:
    """The path of a file to be written. Raises InputError for another suffix, no such folder, and an existing file."""
    if out.suffix != suffix or not out.parent.is_dir():
        raise InputError(f"the name of a {suffix} file in an existing folder", str(out), "choose another with -o")
    if out.exists() and not overwrite:
        raise InputError("a new output file", f"{out} exists", "add --overwrite or choose another with -o")
    return out
