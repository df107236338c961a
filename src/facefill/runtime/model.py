"""A loaded method: faces and masks in, completed faces out, whatever computes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.catalog import METHODS, Record, file_hash, find_weights
from facefill.config import build
from facefill.errors import InputError, pick
from facefill.imaging.blend import composite
from facefill.runtime.adapter import ADAPTERS, Adapted, Adapter, read_adapter
from facefill.runtime.engine import Engine, load_engine, read_metadata, thread_count
from facefill.threads import Slots, in_own_thread

U8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]


def load(
    name_or_path: str | Path, *, device: str = "cpu", threads: int | None = None, exact: bool = False,
    settings: Sequence[str] = (), adapter: str | None = None,
) -> Model:
    """Load a method by its registry name, an .onnx file that `facefill export` wrote or that an adapter knows, or the
    .safetensors of a training run (with torch).

    device: cpu, cuda, coreml or directml. threads: None takes FACEFILL_THREADS, else what the machine allows.
    exact: float32 everywhere, the same on all machines within one grey level. settings: "key=value" of a method that
    stays in torch, such as "restarts=4" of latent_search. adapter: a name of `adapter.ADAPTERS` or a TOML file, for an
    .onnx file of somebody else; ours say themselves what they take.
    Raises InputError for an unknown name, missing or damaged weights, a missing package, settings where there are none.
    """
    path = Path(name_or_path)
    if settings and (path.suffix == ".onnx" or getattr(METHODS.get(str(name_or_path)), "kind", "torch") != "torch"):
        raise InputError("a method with settings", str(name_or_path), "leave --set out, or use latent_search")
    if path.suffix == ".onnx":
        if not path.is_file():
            raise InputError("an .onnx file", f"nothing at {path}", "write one with: facefill export")
        record, adapted = _record_of(path, adapter)
        engine = load_engine(path, device=device, threads=threads, exact=exact)
        return OnnxModel(record, Adapted(engine, adapted, path.name) if adapted else engine, file_hash(path))
    if path.suffix == ".safetensors":
        sha256 = file_hash(path) if path.is_file() else ""
        return TorchModel(path, sha256, threads=threads, settings=settings)
    record = pick(METHODS, str(name_or_path), "method")
    if record.package and find_spec(record.package) is None:
        raise InputError(f"{record.package}, which {record.name} needs", "none installed",
                         f"pip install 'facefill[{record.needs}]'")
    if record.kind == "classical":
        return ClassicalModel(record)
    weights, sha256 = find_weights(record.weights or record.name)
    if record.kind == "torch":
        return TorchModel(weights, sha256, threads=threads, name=record.name, settings=settings)
    return OnnxModel(record, load_engine(weights, device=device, threads=threads, exact=exact), sha256)


def _record_of(path: Path, adapter: str | None) -> tuple[Record, Adapter | None]:
    """What an exported file says of itself; for one that says nothing, what the adapter says."""
    said = read_metadata(path)
    if "facefill.record" in said:
        try:
            record = json.loads(said["facefill.record"])
        except (ValueError, RecursionError):
            raise InputError("an .onnx file that `facefill export` wrote", f"{path.name} with a damaged record",
                             "export it again") from None
        return build(Record, record, path.name), None
    if "facefill.method" in said:  # exported before files carried their record
        return pick(METHODS, said["facefill.method"], "method"), None
    if adapter is None:
        raise InputError("an .onnx file that `facefill export` wrote", f"{path.name} without a method's name",
                         f"export it again, or say what it takes: --adapter {'|'.join(ADAPTERS)}|FILE.toml")
    chosen = read_adapter(adapter)
    return chosen.record(path, f"a network of somebody else, by {adapter}"), chosen


WIDE, WIDE_SHARE = 1 / 16, 1 / 50
"""A hole is wide that has this share of its pixels further from known ones than this share of the side: of many single
pixels, dropped by chance, a few lie deep, too."""


class Model:
    """What all kinds share: checks at the door, sizes that fit, known pixels back."""

    def __init__(self, record: Record, sha256: str | None) -> None:
        self.record = record
        self.name = record.name
        self.sha256 = sha256
        """Of the weights; None for a method without any."""

    def complete(
        self, faces: U8, masks: Bool, *, seeds: Sequence[int] | None = None, samples: int = 1,
        **inputs: NDArray[Any]
    ) -> U8:
        """Complete aligned faces.

        faces: (N, H, W, 3) uint8 RGB, any H and W. masks: (N, H, W) bool, True = missing. seeds: one per face, for
        methods that draw. samples: completions per face; above 1 only where the method draws. The first one is the
        method's best, which a network that takes noise gives without any; the others show what else could be there.
        inputs: what else the method takes: worn (N, H, W, 3), the covered faces, without which the holes of `faces` are
        grey there; landmarks (N, 5, 2) in pixels of the faces, nan where unknown, as all are if it is left out.
        Returns (N, samples, H, W, 3) uint8; known pixels come back bit for bit.
        Raises InputError for shapes that do not fit, and for samples of a method that has only one.
        """
        if faces.ndim != 4 or faces.shape[-1] != 3 or faces.dtype != np.uint8:
            raise InputError("faces as (N, H, W, 3) uint8", f"{faces.shape} {faces.dtype}", "stack RGB pictures")
        if masks.shape != faces.shape[:3] or masks.dtype != np.bool_:
            raise InputError(f"masks as {faces.shape[:3]} bool", f"{masks.shape} {masks.dtype}",
                             "give one mask per face, True = missing")
        if samples > 1 and not {"noise", "seed"} & set(self.record.inputs):
            raise InputError("a method with several completions", f"{self.name}, which has one",
                             "leave --samples out")
        if not len(faces):
            return np.empty((0, samples, *faces.shape[1:]), np.uint8)
        if "worn" in self.record.inputs and "worn" not in inputs:
            inputs["worn"] = grey_holes(faces, masks)
        filled = self._fill_at_size(faces, masks, list(seeds or range(len(faces))), samples, inputs)
        if self.record.blend == "paste":
            return np.where(masks[:, None, :, :, None], filled, faces[:, None])
        limit = None if self.record.blend == "poisson" else 3.0  # papers trust every border pixel
        return np.stack([
            np.stack([composite(face, one, mask, blend=self.record.blend, limit=limit) for one in several])
            for face, mask, several in zip(faces, masks, filled, strict=True)
        ])

    def _fill_at_size(
        self, faces: U8, masks: Bool, seeds: list[int], samples: int, inputs: dict[str, NDArray[Any]]
    ) -> U8:
        """`fill`; square faces with wide holes at the side that the network is made for, if that is better for it."""
        side, (height, width) = self.record.size_px, faces.shape[1:3]
        if not self.record.wide_at_size or height != width or height == side:
            return self.fill(faces, masks, seeds, samples, inputs)
        filled = np.empty((len(faces), samples, *faces.shape[1:]), np.uint8)
        wide = np.array([(_depth(mask) > WIDE * height).sum() > WIDE_SHARE * mask.sum() for mask in masks])
        for group, at in ((wide, side), (~wide, height)):
            if group.any():
                shown = {name: (value[group] + 0.5) * (at / height) - 0.5 if name == "landmarks"
                         else resize(value[group], at, at) for name, value in inputs.items()}
                hidden = resize_masks(masks[group], at, at)
                ours = [seed for seed, chosen in zip(seeds, group, strict=True) if chosen]
                drawn = self.fill(resize(faces[group], at, at), hidden, ours, samples, shown)
                filled[group] = [resize(several, height, height) for several in drawn]
        return filled

    def fill(
        self, faces: U8, masks: Bool, seeds: Sequence[int] | None, samples: int, inputs: dict[str, NDArray[Any]]
    ) -> U8:
        """What the method drew, (N, samples, H, W, 3), known pixels too, before compositing; unchecked."""
        raise NotImplementedError

    def _fit(self, faces: U8) -> U8:
        """To the one size that the network takes, or up to the next multiple of its stride."""
        side, (height, width) = self.record.size_px, faces.shape[1:3]
        if self.record.fixed_size:
            return resize(faces, side, side)
        down, right = -height % self.record.stride, -width % self.record.stride
        if not down and not right:
            return faces
        mode: Any = "reflect" if down < height and right < width else "symmetric"
        return np.pad(faces, ((0, 0), (0, down), (0, right), (0, 0)), mode)

    def _fit_masks(self, masks: Bool) -> Bool:
        """As the faces; where a mask shrinks, a pixel that is missing in part is missing."""
        covered = self._fit(_shown(masks))[..., 0]
        return np.asarray(covered > 0)

    def _unfit(self, filled: U8, height: int, width: int) -> U8:
        return resize(filled, height, width) if self.record.fixed_size else filled[:, :height, :width]

    def borrowed(self, faces: U8, masks: Bool) -> NDArray[np.float32]:
        """From where the method borrows: (N, 2, h, w), how many cells down and to the right each cell looks.

        Raises InputError for a method that borrows nothing.
        """
        raise InputError("a method that borrows known places", self.name, "use --method contextual_attention")


class OnnxModel(Model):
    """A network in an ONNX file."""

    def __init__(self, record: Record, engine: Engine, sha256: str) -> None:
        super().__init__(record, sha256)
        self._engine = engine

    def fill(
        self, faces: U8, masks: Bool, seeds: Sequence[int] | None, samples: int, inputs: dict[str, NDArray[Any]]
    ) -> U8:
        drawn = []
        for sample in range(samples):
            ours = [seed_of(seed, sample) if sample else None for seed in seeds or range(len(faces))]
            out = next(iter(self._run(faces, masks, inputs, ours).values()))
            drawn.append(self._unfit(from_network(out), *faces.shape[1:3]))
        return np.stack(drawn, 1)

    def borrowed(self, faces: U8, masks: Bool) -> NDArray[np.float32]:
        given = self._run(faces, masks, {}, [None] * len(faces))
        return given["borrowed"] if "borrowed" in given else super().borrowed(faces, masks)

    def _run(
        self, faces: U8, masks: Bool, inputs: dict[str, NDArray[Any]], seeds: Sequence[int | None]
    ) -> dict[str, NDArray[np.float32]]:
        arrays: dict[str, Any] = {}
        fitted = self._fit_masks(masks)
        for name in self.record.inputs:
            if name == "mask":
                arrays[name] = fitted[:, None].astype(np.float32)
            elif name == "image":
                image = to_network(self._fit(faces))
                arrays[name] = np.where(fitted[:, None], np.float32(self.record.hole_value), image)
            elif name == "noise":
                arrays[name] = draw_noise(seeds, *fitted.shape[1:])
            elif name == "landmarks":
                arrays[name] = inputs.get(name, np.full((len(faces), 5, 2), np.nan)).astype(np.float32)
            else:
                arrays[name] = to_network(self._fit(inputs[name]))
        return self._engine.run(arrays)


_TORCH = Slots(1)


class TorchModel(Model):
    """A method that stays in torch because it needs gradients to complete, or weights that are not exported yet."""

    def __init__(
        self, path: Path, sha256: str, *, threads: int | None = None, name: str | None = None,
        settings: Sequence[str] = (),
    ) -> None:
        """name: the registry name, where it is not the one that the weights were trained under."""
        if find_spec("torch") is None or find_spec("safetensors") is None:
            raise InputError(f"torch, which {path.name} needs", "none installed", "pip install 'facefill[train]'")

        from facefill.methods.opened import open_method

        self._threads = thread_count(threads)
        method, name = open_method(path, name, settings)
        super().__init__(pick(METHODS, name, "method"), sha256)
        self.method: Any = method

    def fill(
        self, faces: U8, masks: Bool, seeds: Sequence[int] | None, samples: int, inputs: dict[str, NDArray[Any]]
    ) -> U8:
        import torch

        batch = {key: torch.cat([value] * samples) for key, value in self._batch(faces, masks, inputs).items()}
        drawn_from = [seed_of(seed, sample) for sample in range(samples) for seed in seeds or range(len(faces))]
        batch["seed"] = torch.tensor(drawn_from, dtype=torch.int64)
        if "noise" in self.record.inputs:
            silent = [None] * len(faces)
            batch["noise"] = torch.from_numpy(
                draw_noise([*silent, *drawn_from[len(faces):]], *batch["mask"].shape[2:]))
        filled = self._run(lambda: self.method(**self.method.shown(batch)))
        drawn = self._unfit(from_network(filled.float().numpy()), *faces.shape[1:3])
        return np.stack(np.split(drawn, samples), 1)

    def borrowed(self, faces: U8, masks: Bool) -> NDArray[np.float32]:
        if "borrowed" not in self.method.outputs:
            return super().borrowed(faces, masks)
        given = self._run(lambda: self.method.explain(**self._batch(faces, masks, {})))
        offsets: NDArray[np.float32] = given[self.method.outputs.index("borrowed")].numpy()
        return offsets

    def _run(self, compute: Callable[[], Any]) -> Any:
        """What `compute` returns. One at a time in a process, with all of its model's threads: their number is torch's
        own, not a model's."""
        import torch

        def work() -> Any:
            before = torch.get_num_threads()
            torch.set_num_threads(self._threads)
            try:
                with torch.no_grad():
                    return compute()
            finally:
                torch.set_num_threads(before)

        with _TORCH:
            return in_own_thread(work)

    def _batch(self, faces: U8, masks: Bool, inputs: dict[str, NDArray[Any]]) -> dict[str, Any]:
        import torch

        missing = torch.from_numpy(self._fit_masks(masks))[:, None]
        truth = torch.from_numpy(to_network(self._fit(faces)))
        batch = {name: torch.from_numpy(value.astype(np.float32) if name == "landmarks"
                                        else to_network(self._fit(value))) for name, value in inputs.items()}
        return batch | {"image": torch.where(missing, self.record.hole_value, truth), "mask": missing.float()}


class ClassicalModel(Model):
    """A filling rule with nothing to train."""

    def __init__(self, record: Record) -> None:
        from facefill.imaging.classical import CLASSICAL

        super().__init__(record, None)
        self._rule = CLASSICAL[record.name]

    def fill(
        self, faces: U8, masks: Bool, seeds: Sequence[int] | None, samples: int, inputs: dict[str, NDArray[Any]]
    ) -> U8:
        return np.stack([self._rule(face, mask) for face, mask in zip(faces, masks, strict=True)])[:, None]


def grey_holes(faces: U8, masks: Bool) -> U8:
    """A copy of faces (N, H, W, 3) that holds mid grey where masks (N, H, W) are True."""
    return np.where(masks[..., None], np.uint8(128), faces)


def seed_of(seed: int, sample: int) -> int:
    """Of a face's sample, the first from the face's own; far apart, so that no sample of one face is another face's;
    torch draws from 32 bits of a seed only."""
    return (seed + sample * 0x9E3779B1) % 2**32


def draw_noise(seeds: Sequence[int | None], height: int, width: int) -> NDArray[np.float32]:
    """(N, 1, H, W) normal noise, each plane from its own seed; zeros for None."""
    noise = np.zeros((len(seeds), 1, height, width), np.float32)
    for plane, seed in zip(noise, seeds, strict=True):
        if seed is not None:
            np.random.default_rng(seed).standard_normal(dtype=np.float32, out=plane)
    return noise


def _shown(masks: Bool) -> U8:
    """Masks as (N, H, W, 3) pictures, white where pixels are missing."""
    return np.repeat(masks[..., None].astype(np.uint8) * 255, 3, -1)


def _depth(mask: Bool) -> NDArray[np.float32]:
    """How far each missing pixel is from a known one, (H, W)."""
    return np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, 3), np.float32)


def resize(pictures: U8, height: int, width: int) -> U8:
    """(N, H, W, 3) to another size: area means going down, Lanczos going up."""
    if pictures.shape[1:3] == (height, width):
        return pictures
    shrinks = height * width < pictures.shape[1] * pictures.shape[2]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    return np.stack([cv2.resize(picture, (width, height), interpolation=how) for picture in pictures])


def resize_masks(masks: Bool, height: int, width: int) -> Bool:
    """(N, H, W) to another size; where that is smaller, a pixel that is missing in part is missing."""
    return np.asarray(resize(_shown(masks), height, width)[..., 0] > 0)


def to_network(pictures: U8) -> NDArray[np.float32]:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float32 in [-1, 1]."""
    return np.ascontiguousarray(np.moveaxis(pictures, -1, 1), np.float32) / np.float32(127.5) - np.float32(1)


def from_network(pictures: NDArray[np.float32]) -> U8:
    """(N, 3, H, W) float32 to (N, H, W, 3) uint8: clip(rint((x + 1) · 127.5), 0, 255)."""
    levels = np.clip(np.rint((pictures + np.float32(1)) * np.float32(127.5)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, 1, -1))
