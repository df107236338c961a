"""Runs an ONNX file: with OpenVINO where it is installed, else with ONNX Runtime. The only file that knows either."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from facefill.arrays import F32
from facefill.choices import pick
from facefill.errors import InputError
from facefill.threads import LOADING, Slots

Arrays = dict[str, F32]

_ORT_PROVIDERS = {
    "cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}  # fmt: skip


def thread_count(threads: int | None = None) -> int:
    """How many threads to use: `threads`, else FACEFILL_THREADS, else all cores. Raises InputError for less than 1."""
    given: object = threads if threads is not None else os.environ.get("FACEFILL_THREADS")
    if given is not None:
        if not str(given).isdecimal() or int(str(given)) < 1:
            raise InputError("a number of threads above 0", repr(given), "set --threads or FACEFILL_THREADS")
        return int(str(given))
    return core_count()


def core_count() -> int:
    """How many processor cores affinity and the cgroup's quota allow."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota_path = Path("/sys/fs/cgroup/cpu.max")
    if quota_path.is_file():
        quota, period = quota_path.read_text().split()
        if quota != "max":
            allowed = min(allowed, max(1, math.ceil(int(quota) / int(period))))
    return allowed


class Engine(Protocol):
    """A loaded network, for any number of threads at once."""

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself, by key."""

    def run(self, inputs: Arrays) -> Arrays:
        """Float32 NCHW arrays by input name to float32 arrays by output name. Each picture of the batch is computed
        by itself, so that it never depends on what shares the batch."""


def load_engine(path: Path, *, device: str = "cpu", threads: int | None = None, exact: bool = False) -> Engine:
    """Load an ONNX file.

    device: cpu, cuda, coreml or directml; all but cpu need the ONNX Runtime build for that device.
    exact: compute in float32; otherwise bf16 where the processor has it.
    Raises InputError for an unknown device or one that is not there, and for a damaged file.
    """
    provider = pick(_ORT_PROVIDERS, device, "device")
    threads = thread_count(threads)
    if device == "cpu":
        try:
            import openvino
        except ImportError:
            pass
        else:
            return _OpenVino(openvino, path, threads, exact)
    try:
        import onnxruntime
    except ImportError:
        raise InputError(f"ONNX Runtime for {device}", "no such package", "pip install 'facefill[gpu]'") from None
    if provider not in onnxruntime.get_available_providers():
        raise InputError(f"the {device} device", "an ONNX Runtime without it", "pip install 'facefill[gpu]'")
    return _OnnxRuntime(onnxruntime, path, threads, provider)


def engine_kinds() -> dict[str, Callable[[Path], Engine]]:
    """How to open a file in each of the engines that are installed, on the processor in float32."""
    kinds: dict[str, Callable[[Path], Engine]] = {}
    with suppress(ImportError):
        import openvino

        kinds["openvino"] = lambda path: _OpenVino(openvino, path, thread_count(), exact=True)
    with suppress(ImportError):
        import onnxruntime

        kinds["onnxruntime"] = lambda path: _OnnxRuntime(onnxruntime, path, thread_count(), _ORT_PROVIDERS["cpu"])
    return kinds


def _unreadable(path: Path) -> InputError:
    return InputError("an ONNX file that can be run", f"{path.name}, damaged or of an unknown kind", "export it again")


_AT_ONCE = Slots(min(8, core_count()))
"""Requests that compute at the same time; each has compiled weights of its own, 45 MB for swift at 256 px."""
_MOST_IDLE = 8
"""Compiled requests that a network keeps, the last used."""

Shapes = tuple[tuple[int, ...], ...]


def _by_picture(inputs: Arrays, names: list[str], outputs: list[str], infer: Callable[[Arrays], list[F32]]) -> Arrays:
    count = len(inputs[names[0]])
    rows = [infer({name: inputs[name][index : index + 1] for name in names}) for index in range(count)]
    return {name: np.concatenate(column) for name, column in zip(outputs, zip(*rows, strict=True), strict=True)}


class _OpenVino:
    def __init__(self, openvino: Any, path: Path, threads: int, exact: bool) -> None:
        with LOADING:
            # The first look at a tensor sets up what OpenVINO's binding keeps of NumPy; two threads that do so at once
            # wait for each other for ever (2026.4).
            _ = openvino.Tensor(openvino.Type.f32, openvino.Shape([1])).data
        core = openvino.Core()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Bound to cores, the first thread of every network, in every process, would stand on the same core.
            "ENABLE_CPU_PINNING": False,
        }
        if exact:
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        try:
            self._model = core.read_model(path)
        except RuntimeError as error:
            raise _unreadable(path) from error
        has_said = self._model.has_rt_info(["framework"])
        self.metadata = dict(self._model.get_rt_info(["framework"]).value) if has_said else {}
        self._core, self._settings = core, settings
        self._idle = list[tuple[Shapes, Any]]()
        self._names = [port.get_any_name() for port in self._model.inputs]
        self._outputs = [port.get_any_name() for port in self._model.outputs]

    def run(self, inputs: Arrays) -> Arrays:
        with self._request_for(inputs) as request:

            def infer(given: Arrays) -> list[F32]:
                found = request.infer(given, share_inputs=True, share_outputs=True)
                return [np.array(found[place], np.float32) for place in range(len(self._outputs))]

            return _by_picture(inputs, self._names, self._outputs, infer)

    @contextmanager
    def _request_for(self, inputs: Arrays) -> Iterator[Any]:
        """A request that is the caller's alone meanwhile, compiled for exactly these sizes, which is much faster."""
        shapes = tuple((1, *inputs[name].shape[1:]) for name in self._names)
        with _AT_ONCE:
            request = self._take(shapes)
            if request is None:
                with LOADING:
                    model = self._model.clone()
                    model.reshape(dict(zip(self._names, shapes, strict=True)))
                    request = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
            yield request
            self._idle.append((shapes, request))
            del self._idle[:-_MOST_IDLE]

    def _take(self, shapes: Shapes) -> Any | None:
        """The idle request of these sizes that was used last; others take and give back meanwhile."""
        for entry in reversed(self._idle.copy()):
            if entry[0] == shapes:
                with suppress(ValueError):  # taken by another
                    self._idle.remove(entry)
                    return entry[1]
        return None


class _OnnxRuntime:
    def __init__(self, onnxruntime: Any, path: Path, threads: int, provider: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors; it warns of what it leaves as it is in a branch
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
        except Exception as error:  # its own have no class in common
            raise _unreadable(path) from error
        self.metadata = dict(self._session.get_modelmeta().custom_metadata_map)
        self._names = [port.name for port in self._session.get_inputs()]
        self._outputs = [port.name for port in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> Arrays:
        with _AT_ONCE:
            return _by_picture(inputs, self._names, self._outputs, partial(self._session.run, self._outputs))
