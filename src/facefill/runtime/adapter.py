"""Networks that other people trained, as methods: what theirs takes and gives, told in numbers.

An adapter stands before an engine: in go a picture with a hole and its mask as ours take them, out comes the filled
picture. It is named (`ADAPTERS`) or read from a TOML with the fields of `Adapter`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facefill.arrays import F32
from facefill.catalog import Record
from facefill.choices import pick
from facefill.config import Frozen, build, read_toml
from facefill.errors import InputError
from facefill.runtime.engine import Arrays, Engine


class Adapter(Frozen):
    """The contract of one kind of file. Pictures are RGB; the first output is the filled one."""

    size_px: int | None = None
    """The one side of square pictures that it takes; None: any height and width in multiples of `stride`."""
    stride: int = 8
    picture: str = "image"
    """Name of the input for the picture."""
    mask: str = "mask"
    """Name of the input for the mask; empty: the mask is the picture's first channel."""
    black: float = 0.0
    white: float = 1.0
    """Values of the picture going in."""
    hole: float = 0.5
    """What the picture holds where pixels are missing, of the same range: nothing shows what is hidden."""
    known: float = 0.0
    missing: float = 1.0
    """Values of the mask."""
    filled_black: float = 0.0
    filled_white: float = 1.0
    """Values of the picture coming out."""
    whole_numbers: bool = False
    """The inputs are uint8, not float32."""
    channels_last: bool = False
    """Pictures and masks are (N, H, W, C), not (N, C, H, W)."""

    def record(self, path: Path, title: str) -> Record:
        """What the catalog would say of a file of this kind."""
        return Record(
            name=path.stem,
            title=title,
            kind="onnx",
            paper=path.name,
            stride=self.stride,
            size_px=self.size_px or 256,
            fixed_size=self.size_px is not None,
        )


ADAPTERS: dict[str, Adapter] = {
    "lama": Adapter(size_px=512, filled_white=255.0),
    "migan": Adapter(white=255.0, hole=128.0, known=255.0, missing=0.0, filled_white=255.0, whole_numbers=True),
    "migan-generator": Adapter(size_px=256, mask="", black=-1.0, hole=0.0, known=0.5, missing=-0.5, filled_black=-1.0),
}
"""lama: the export of `inpainted * 255` at 512 px (Suvorov et al. 2022). migan: the pipeline that its authors export,
any size (Sargsyan et al. 2023); migan-generator: the network inside it."""


def read_adapter(name: str) -> Adapter:
    """An adapter by its name, or from a TOML file. Raises InputError for an unknown name or field."""
    if name.endswith(".toml"):
        return build(Adapter, read_toml(Path(name)), name)
    return pick(ADAPTERS, name, "adapter")


@dataclass(frozen=True)
class Adapted:
    """An engine behind an adapter, which takes `image` (0 in holes) and `mask` on [-1, 1] and gives `filled`."""

    engine: Engine
    adapter: Adapter
    name: str
    """Name of the file, for messages."""

    @property
    def metadata(self) -> dict[str, str]:
        """See `Engine.metadata`."""
        return self.engine.metadata

    def run(self, inputs: Mapping[str, F32]) -> Arrays:
        """See `Engine.run`. Raises InputError where the file takes or gives something else than the adapter says."""
        adapter, missing = self.adapter, inputs["mask"] > 0.5
        picture = adapter.black + (inputs["image"] + 1) / 2 * (adapter.white - adapter.black)
        picture = np.where(missing, adapter.hole, picture)
        mask = np.where(missing, adapter.missing, adapter.known)
        given = {adapter.picture: picture if adapter.mask else np.concatenate([mask, picture], 1)}
        given |= {adapter.mask: mask} if adapter.mask else {}
        arrays: dict[str, Any] = {
            name: np.rint(values).astype(np.uint8) if adapter.whole_numbers else values.astype(np.float32)
            for name, values in given.items()
        }
        if adapter.channels_last:
            arrays = {name: np.moveaxis(values, 1, -1) for name, values in arrays.items()}
        try:
            filled = next(iter(self.engine.run(arrays).values()))
        except Exception as error:  # the engines' own have no class in common
            raise self._other("other inputs", error) from error
        filled = np.moveaxis(filled, -1, 1) if adapter.channels_last else filled
        if filled.shape != inputs["image"].shape:
            raise self._other(f"an output of {filled.shape} for {inputs['image'].shape}")
        level = (filled - adapter.filled_black) / (adapter.filled_white - adapter.filled_black)
        return {"filled": (2 * level - 1).astype(np.float32)}

    def _other(self, got: str, error: Exception | None = None) -> InputError:
        adapter = self.adapter
        names = " and ".join(name for name in (adapter.picture, adapter.mask) if name)
        said = f" ({str(error).splitlines()[0]})" if error and str(error) else ""
        expected = f"a network that takes {names} and gives a picture of the same size"
        return InputError(expected, f"{self.name} with {got}{said}", "name another --adapter, or write one as a TOML")
