"""A loaded method: faces and masks in, completed faces out, whatever computes them."""

import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facefill.arrays import F32, U8, Bool
from facefill.catalog import METHODS, Record, file_hash, find_weights
from facefill.choices import pick
from facefill.config import build
from facefill.errors import InputError
from facefill.files.photo import open_source
from facefill.files.whole import path_of
from facefill.imaging.blend import composite
from facefill.runtime.adapter import ADAPTERS, Adapted, Adapter, read_adapter
from facefill.runtime.engine import Engine, load_engine, thread_count
from facefill.threads import Slots, in_own_thread, note_caller


def load(
    name_or_path: str | Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    exact: bool = False,
    settings: Sequence[str] = (),
    adapter: str | None = None,
) -> "Model":
    """Load a method by its registry name, an .onnx file that `facefill export` wrote or that an adapter knows, or the
    .safetensors of a training run (with torch).

    device: cpu, cuda, coreml or directml. threads: None takes FACEFILL_THREADS, else what the machine allows.
    exact: float32 everywhere, the same on all machines within one grey level. settings: "key=value" of a method that
    stays in torch, such as "restarts=4" of latent_search. adapter: a name of `adapter.ADAPTERS` or a TOML file, for an
    .onnx file of somebody else; ours say themselves what they take.
    Raises InputError for an unknown name, missing or damaged weights, a missing package, settings where there are none.
    """
    path = path_of(name_or_path, "the name of a method or a file")
    if settings and (path.suffix == ".onnx" or getattr(METHODS.get(str(path)), "kind", "torch") != "torch"):
        raise InputError("a method with settings", str(path), "leave --set out, or use latent_search")
    if path.suffix == ".onnx":
        if not path.is_file():
            raise InputError("an .onnx file", f"nothing at {path}", "write one with: facefill export")
        engine = load_engine(path, device=device, threads=threads, exact=exact)
        record, adapted = _record_of(path, engine.metadata, adapter)
        return OnnxModel(record, Adapted(engine, adapted, path.name) if adapted else engine, file_hash(path))
    if path.suffix == ".safetensors":
        sha256 = file_hash(path) if path.is_file() else ""
        return TorchModel(path, sha256, threads=threads, settings=settings)
    record = pick(METHODS, str(path), "method")
    if record.package and find_spec(record.package) is None:
        raise InputError(
            f"{record.package}, which {record.name} needs", "none installed", f"pip install 'facefill[{record.needs}]'"
        )
    if record.kind == "classical":
        return ClassicalModel(record)
    weights, sha256 = find_weights(record.weights or record.name)
    if record.kind == "torch":
        return TorchModel(weights, sha256, threads=threads, name=record.name, settings=settings)
    return OnnxModel(record, load_engine(weights, device=device, threads=threads, exact=exact), sha256)


def _array_of(given: object, what: str) -> Any:
    """An array, also of what holds one, such as a tensor on the CPU. Raises InputError for anything else."""
    array = open_source(given) if hasattr(given, "__array__") else given
    if not isinstance(array, np.ndarray):
        raise InputError(f"an array of {what}", f"the type {type(given).__name__}", "read the pictures first")
    return array


def _record_of(path: Path, said: dict[str, str], adapter: str | None) -> tuple[Record, Adapter | None]:
    """What an exported file says of itself; for one that says nothing, what the adapter says."""
    ours = "an .onnx file that `facefill export` wrote"
    if "facefill.record" in said:
        try:
            record = json.loads(said["facefill.record"])
        except (ValueError, RecursionError):
            raise InputError(ours, f"{path.name} with a damaged record", "export it again") from None
        if isinstance(record, dict):  # what it does not say is as in the catalog; what no record says any more goes
            known = METHODS[record["name"]].model_dump() if record.get("name") in METHODS else {}
            record = known | {key: value for key, value in record.items() if key in Record.model_fields}
        return build(Record, record, path.name), None
    if "facefill.method" in said:  # exported before files carried their record
        return pick(METHODS, said["facefill.method"], "method"), None
    if adapter is None:
        fix = f"export it again, or say what it takes: --adapter {'|'.join(ADAPTERS)}|FILE.toml"
        raise InputError(ours, f"{path.name} without a method's name", fix)
    chosen = read_adapter(adapter)
    return chosen.record(path, f"a network of somebody else, by {adapter}"), chosen


class Model:
    """What all kinds share: checks at the door, padding to the stride, known pixels back. Nothing is ever resized."""

    def __init__(self, record: Record, sha256: str | None) -> None:
        self.record = record
        self.name = record.name
        self.sha256 = sha256
        """Hash of the weights; None for a method without any."""

    def complete(
        self,
        faces: U8,
        masks: Bool,
        *,
        seeds: Sequence[int] = (),
        samples: int = 1,
        first: int = 0,
        quickly: bool = False,
        **inputs: Any,
    ) -> U8:
        """Complete aligned faces.

        faces: (N, H, W, 3) uint8 RGB, of the one side that the network has, where it has one. masks: (N, H, W) bool,
        True = missing. seeds: one per face, for methods that draw. samples: completions per face; above 1 only where
        the method draws. Sample 0 is the method's best, which a network that takes noise gives without any; the others
        show what else could be there. first: the number of the first one. quickly: blend as a camera's frames may be
        (`imaging.blend.composite`). inputs: what else the method takes: worn (N,
        H, W, 3), the covered faces, without which the holes of `faces` are grey there; landmarks (N, 5, 2), pixels of
        the face, NaN where unknown, as all are where left out.
        Returns (N, samples, H, W, 3) uint8; known pixels come back bit for bit.
        Raises InputError for shapes that do not fit, and for samples of a method that has only one.
        """
        faces, masks = _array_of(faces, "faces"), _array_of(masks, "masks")
        if faces.ndim != 4 or faces.shape[-1] != 3 or faces.dtype != np.uint8:
            raise InputError("faces as (N, H, W, 3) uint8", f"{faces.shape} {faces.dtype}", "stack RGB pictures")
        if masks.shape != faces.shape[:3] or masks.dtype != np.bool_:
            fix = "give one mask per face, True = missing"
            raise InputError(f"masks as {faces.shape[:3]} bool", f"{masks.shape} {masks.dtype}", fix)
        self.check_samples(first + samples)
        side, (height, width) = self.record.size_px, faces.shape[1:3]
        if self.record.fixed_size and (height, width) != (side, side):
            fix = "use facefill.complete(photo, mask, aligned=True), which takes any size"
            raise InputError(f"faces of {side}x{side} px for {self.name}", f"{width}x{height}", fix)
        if not len(faces):
            return np.empty((0, samples, *faces.shape[1:]), np.uint8)
        if "worn" in self.record.inputs and "worn" not in inputs:
            inputs["worn"] = grey_holes(faces, masks)
        note_caller()
        filled = self.fill(faces, masks, list(seeds or range(len(faces))), range(first, first + samples), inputs)
        if self.record.blend == "paste":
            return np.where(masks[:, None, :, :, None], filled, faces[:, None])
        limit = None if self.record.blend == "poisson" else 3.0  # papers trust every border pixel
        rows, how = zip(faces, masks, filled, strict=True), dict[str, Any](blend=self.record.blend, limit=limit)
        how["quickly"] = quickly
        return np.stack([np.stack([composite(face, one, mask, **how) for one in some]) for face, mask, some in rows])

    def check_samples(self, count: int) -> None:
        """Raises InputError for several samples of a method that has only one."""
        if count > 1 and not {"noise", "seed"} & set(self.record.inputs):
            raise InputError("a method with several completions", f"{self.name}, which has one", "leave --samples out")

    def fill(self, faces: U8, masks: Bool, seeds: Sequence[int], samples: range, inputs: dict[str, NDArray[Any]]) -> U8:
        """What the method drew, (N, samples, H, W, 3), before compositing; unchecked. samples: the numbers of those."""
        raise NotImplementedError

    def _fit(self, faces: NDArray[Any]) -> NDArray[Any]:
        """Padded to the next multiple of the stride."""
        height, width = faces.shape[1:3]
        down, right = -height % self.record.stride, -width % self.record.stride
        if not down and not right:
            return faces
        mode: Any = "reflect" if down < height and right < width else "symmetric"
        return np.pad(faces, ((0, 0), (0, down), (0, right), *([(0, 0)] * (faces.ndim - 3))), mode)

    def borrowed(self, faces: U8, masks: Bool) -> F32:
        """From where the method borrows, (N, 2, h, w) cells down and to the right. Raises InputError without such."""
        raise InputError("a method that borrows known places", self.name, "use --method contextual_attention")


class OnnxModel(Model):
    """A network in an ONNX file."""

    def __init__(self, record: Record, engine: Engine, sha256: str) -> None:
        super().__init__(record, sha256)
        self._engine = engine

    def fill(self, faces: U8, masks: Bool, seeds: Sequence[int], samples: range, inputs: dict[str, NDArray[Any]]) -> U8:
        drawn = []
        for sample in samples:
            ours = [seed_of(seed, sample) if sample else None for seed in seeds]
            out = next(iter(self._run(faces, masks, inputs, ours).values()))
            drawn.append(from_network(out)[:, : faces.shape[1], : faces.shape[2]])
        return np.stack(drawn, 1)

    def borrowed(self, faces: U8, masks: Bool) -> F32:
        given = self._run(faces, masks, {}, [None] * len(faces))
        return given["borrowed"] if "borrowed" in given else super().borrowed(faces, masks)

    def _run(
        self, faces: U8, masks: Bool, inputs: dict[str, NDArray[Any]], seeds: Sequence[int | None]
    ) -> dict[str, F32]:
        arrays: dict[str, Any] = {}
        fitted = self._fit(masks)
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
"""A fork waits for the run that goes on: MKL locks its memory."""


class TorchModel(Model):
    """A method that stays in torch because it needs gradients to complete, or weights that are not exported yet."""

    def __init__(
        self, path: Path, sha256: str, *, threads: int | None, name: str | None = None, settings: Sequence[str] = ()
    ) -> None:
        """name: the registry name, where it is not the one that the weights were trained under."""
        if find_spec("torch") is None or find_spec("safetensors") is None:
            raise InputError(f"torch, which {path.name} needs", "none installed", "pip install 'facefill[train]'")

        from facefill.methods.opened import open_method

        self._threads = thread_count(threads)
        method, name = open_method(path, name, settings)
        super().__init__(pick(METHODS, name, "method").of_side(method.size), sha256)
        self.method: Any = method

    def fill(self, faces: U8, masks: Bool, seeds: Sequence[int], samples: range, inputs: dict[str, NDArray[Any]]) -> U8:
        import torch

        times = len(samples)
        batch = {key: torch.cat([value] * times) for key, value in self._batch(faces, masks, inputs).items()}
        drawn_from = [(sample, seed_of(seed, sample)) for sample in samples for seed in seeds]
        batch["seed"] = torch.tensor([seed for _, seed in drawn_from], dtype=torch.int64)
        if "noise" in self.record.inputs:
            noise = draw_noise([seed if sample else None for sample, seed in drawn_from], *batch["mask"].shape[2:])
            batch["noise"] = torch.from_numpy(noise)
        shown = self.method.shown(batch)
        # One picture at a time: torch computes the last bits of a network otherwise with others beside it.
        count = len(drawn_from) if self.method.exports else 1
        parts = zip(*(value.chunk(count) for value in shown.values()), strict=True)
        filled = self._run(lambda: torch.cat([self.method(**dict(zip(shown, part, strict=True))) for part in parts]))
        drawn = from_network(filled.float().numpy())[:, : faces.shape[1], : faces.shape[2]]
        return np.stack(np.split(drawn, times), 1)

    def borrowed(self, faces: U8, masks: Bool) -> F32:
        if "borrowed" not in self.method.outputs:
            return super().borrowed(faces, masks)
        given = self._run(lambda: self.method.explain(**self._batch(faces, masks, {})))
        offsets: F32 = given[self.method.outputs.index("borrowed")].numpy()
        return offsets

    def _run(self, compute: Callable[[], Any]) -> Any:
        """What `compute` returns, one at a time in a process: the number of threads is torch's own, not a model's."""
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

        missing = torch.from_numpy(self._fit(masks))[:, None]
        truth = torch.from_numpy(to_network(self._fit(faces)))
        batch = {
            name: torch.from_numpy(value.astype(np.float32) if name == "landmarks" else to_network(self._fit(value)))
            for name, value in inputs.items()
        }
        return batch | {"image": torch.where(missing, self.record.hole_value, truth), "mask": missing.float()}


class ClassicalModel(Model):
    """A filling rule with nothing to train."""

    def __init__(self, record: Record) -> None:
        from facefill.imaging.classical import CLASSICAL

        super().__init__(record, None)
        self.rule = CLASSICAL[record.name]
        """(H, W, 3) and a mask (H, W) to the filled picture."""

    def fill(self, faces: U8, masks: Bool, seeds: Sequence[int], samples: range, inputs: dict[str, NDArray[Any]]) -> U8:
        return np.stack([self.rule(face, mask) for face, mask in zip(faces, masks, strict=True)])[:, None]


def grey_holes(faces: U8, masks: Bool) -> U8:
    """A copy of faces (N, H, W, 3) that holds mid grey where masks (N, H, W) are True."""
    return np.where(masks[..., None], np.uint8(128), faces)


def seed_of(seed: int, sample: int) -> int:
    """The seed of a face's sample; the first sample has the face's own seed. Seeds lie far apart, so that no samples
    of two faces share one; torch draws from 32 bits of a seed only."""
    return (seed + sample * 0x9E3779B1) % 2**32


def draw_noise(seeds: Sequence[int | None], height: int, width: int) -> F32:
    """(N, 1, H, W) normal noise, each plane from its own seed; zeros for None."""
    noise = np.zeros((len(seeds), 1, height, width), np.float32)
    for plane, seed in zip(noise, seeds, strict=True):
        if seed is not None:
            np.random.default_rng(seed).standard_normal(dtype=np.float32, out=plane)
    return noise


def to_network(pictures: U8) -> F32:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float32 in [-1, 1]."""
    planes = np.ascontiguousarray(np.moveaxis(pictures, -1, 1), np.float32)
    planes /= np.float32(127.5)
    planes -= np.float32(1)
    return planes


def from_network(pictures: F32) -> U8:
    """(N, 3, H, W) float32 to (N, H, W, 3) uint8: clip(rint((x + 1) · 127.5), 0, 255)."""
    levels = np.clip(np.rint((pictures + np.float32(1)) * np.float32(127.5)), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, 1, -1))
