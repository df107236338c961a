"""What there is: a torch-free record of every method and of the weights that ship. `facefill methods` prints it."""

import hashlib
import os
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from facefill.config import Frozen, read_toml
from facefill.errors import InputError


class Record(Frozen):
    """One method: what somebody needs to know before choosing or running it."""

    name: str
    title: str
    kind: Literal["onnx", "classical", "torch"]
    needs: str = ""
    """The extra to install beyond the core, empty for none."""
    package: str = ""
    """What is imported from that extra."""
    paper: str
    inputs: tuple[str, ...] = ("image", "mask")
    """What the method takes, of: image, mask, worn, landmarks, noise, seed."""
    blend: Literal["paste", "poisson", "fade"] = "paste"
    """How the filled picture meets the known pixels, see `imaging.blend.composite`."""
    weights: str = ""
    """The method whose weights it uses, where that is another one."""
    size_px: int = 256
    """The side of an aligned face that the method is made for."""
    fixed_size: bool = False
    """True: no other side works. False: any multiple of `stride`."""
    interpolates_fine: bool = False
    """True: what is fine (`runtime.plan`) is left to biharmonic interpolation, which is better there. False: the method
    itself fills it, in windows at the photo's own size."""
    stride: int = 1
    hole_value: float = 0.0
    """What missing pixels hold at the input, on [-1, 1]."""

    def of_side(self, side_px: int | None) -> "Record":
        """The record of weights that take only this side, in pixels; None: any."""
        return self.model_copy(update={"size_px": side_px or self.size_px, "fixed_size": side_px is not None})


class Run(Frozen):
    """One run of training in the history of a file."""

    recipe: str
    """A file in configs/; "" for a script that came before it."""
    images: int
    """Pictures shown."""
    side_px: int
    """Their side, that of most where sizes take turns."""
    commit: str = ""
    """The commit that brought these weights; the code that ran is that or a little older. "": not recorded."""
    machine: str = ""
    note: str = ""
    own: bool = False
    """True: trains what the paper does not have, so that it counts for no share."""


class PaperTraining(Frozen):
    """How much a paper's own generator was shown, from configs/paper/."""

    images: int
    side_px: int


class Weights(Frozen):
    """One shipped file, as `weights/weights.toml` lists it."""

    file: str
    sha256: str
    method: str
    beside: str = ""
    """The name of the shipped file that lies beside it and holds the tensors which both have."""
    params: int
    ms: float
    """Median milliseconds of the network for one 256×256 face (the finder: a 640×640 photo) on two threads, blending
    aside, on the machine named in docs/results.md."""
    data: str
    licences: dict[str, str]
    """Licences of the code, the weights and the data they were trained on."""
    training: tuple[Run, ...] = ()
    """Its whole history, the first run first."""
    paper: PaperTraining | None = None
    """None for a network of no paper."""
    scores: dict[str, float] = Field(default_factory=dict)
    """Mean hole PSNR in dB by "dataset/protocol", from docs/results.md, which has n and intervals."""

    @property
    def paper_share(self) -> float | None:
        """The share of the paper's training that the file has had: pictures times their pixels, all runs together.

        A method with less than a half is a short-budget variant of the paper's. None where there is no paper.
        """
        if self.paper is None:
            return None
        shown = sum(run.images * run.side_px**2 for run in self.training if not run.own)
        return shown / (self.paper.images * self.paper.side_px**2)


METHODS: dict[str, Record] = {
    name: Record(name=name, **table) for name, table in read_toml(Path(__file__).with_suffix(".toml")).items()
}
"""Every method by its registry name, the default first."""


def weights_folder() -> Path:
    """Where the weights lie that are part of the package."""
    return Path(__file__).parent / "weights"


def further_folder() -> Path | None:
    """Where weights lie that only torch runs, and that are no part of the package: the folder that FACEFILL_WEIGHTS
    names, else weights/ of the checkout that this package stands in; None where there is neither."""
    if named := os.environ.get("FACEFILL_WEIGHTS"):
        return Path(named)
    checkout = weights_folder().parents[2]
    return checkout / "weights" if (checkout / "pyproject.toml").is_file() else None


def _path_of(entry: Weights) -> Path:
    """Where a shipped file is, or should be."""
    further = further_folder()
    return next(
        (folder / entry.file for folder in (weights_folder(), further) if folder and (folder / entry.file).is_file()),
        weights_folder() / entry.file,
    )


@cache
def shipped_weights() -> dict[str, Weights]:
    """The shipped files by name: methods with weights, and the helpers `finder` and `cover`."""
    tables = read_toml(weights_folder() / "weights.toml")
    return {name: Weights.model_validate(table) for name, table in tables.items()}


def usable() -> list[str]:
    """Names of the methods that this installation can run: those whose weights ship, and those without weights, if
    what they need is installed."""
    shipped = shipped_weights()
    return [
        name
        for name, record in METHODS.items()
        if (
            record.kind == "classical"
            or ((found := record.weights or name) in shipped and _path_of(shipped[found]).is_file())
        )
        and not (record.package and find_spec(record.package) is None)
    ]


def find_weights(name: str) -> tuple[Path, str]:
    """The file of the shipped weights called `name`, and its SHA-256 after checking it.

    Raises InputError when the file is missing or damaged.
    """
    table = shipped_weights()
    if name not in table:
        raise InputError(f"weights of {name}", "none in this installation", "install a release that ships them")
    entry = table[name]
    path = _path_of(entry)
    if not path.is_file() and path.suffix == ".safetensors":
        fix = "they lie in weights/ of the sources: name that folder in FACEFILL_WEIGHTS"
        raise InputError(f"the weights {entry.file}, which only torch runs", "none in this installation", fix)
    if not path.is_file():
        raise InputError(f"the weights {entry.file}", "no such file", "reinstall facefill")
    if (found := file_hash(path)) != entry.sha256:
        raise InputError(f"{entry.file} with SHA-256 {entry.sha256[:12]}", found[:12], "reinstall facefill")
    if entry.beside:
        find_weights(entry.beside)
    return path, found


def code_commit() -> str:
    """The commit of the checkout that this code runs from, with "-dirty" where files differ; "" for an installed
    package."""
    folder = weights_folder().parents[2]
    if not (folder / ".git").exists():
        return ""
    command = ["git", "-C", str(folder), "describe", "--always", "--exclude=*", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe() -> list[dict[str, Any]]:
    """All methods as `facefill methods --json` prints them."""
    rows = []
    for record in METHODS.values():
        weights = shipped_weights().get(record.weights or record.name)
        rows.append(
            record.model_dump(include={"name", "title", "kind", "needs", "paper", "size_px"})
            | {
                "params": weights.params if weights else 0,
                "ms": weights.ms if weights else None,
                "scores": weights.scores if weights and not record.weights else {},
                "paper_share": weights.paper_share if weights else None,
                "licences": weights.licences if weights else {"code": "Apache-2.0"},
            }
        )
    return rows
