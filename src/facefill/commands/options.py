"""Options that several commands share, and what a command needs to be installed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from typer import Option

from facefill.errors import InputError

Method = Annotated[str, Option("--method", "-m", help="Which method completes; `facefill methods` lists them.")]
Seed = Annotated[int, Option(min=0, help="Seed of the random numbers; the same seed gives the same picture.")]
Device = Annotated[str, Option(help="cpu, cuda, coreml or directml.")]
Threads = Annotated[
    int | None, Option(help="Number of threads. Default: FACEFILL_THREADS, else what the machine allows.")
]
AllThreads = Annotated[
    int | None,
    Option(
        help="Number of threads of all processes together. Default: FACEFILL_THREADS, else what the machine allows."
    ),
]
Exact = Annotated[bool, Option("--exact", help="Compute in float32: slower, the same on all machines.")]
Covers = Annotated[
    str,
    Option(
        help="What to take off: mask, sunglasses, hand, other (another thing), several with commas between, or all."
    ),
]
Finder = Annotated[Path | None, Option(help="Find faces with this YuNet .onnx file of OpenCV's model zoo instead.")]
Large = Annotated[bool, Option("--large-hole", help="Also complete a face with more than 60 % missing.")]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace existing output files.")]
Sign = Annotated[
    Path | None,
    Option(help="A PEM file with your private key and its certificates: signs a C2PA manifest of what was completed."),
]
AsJson = Annotated[bool, Option("--json", help="Print one JSON object per photo.")]


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
