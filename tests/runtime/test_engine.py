"""Engines: the same numbers whatever shares the batch, and one line for what the user can mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facefill.errors import InputError
from facefill.runtime.engine import engine_kinds, load_engine, thread_count
from tests.networks import write_inpainting


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inpainting(tmp_path_factory.mktemp("net") / "tiny.onnx")


def pictures(count: int, height: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "image": rng.uniform(-1, 1, (count, 3, height, width)).astype(np.float32),
        "mask": (rng.random((count, 1, height, width)) < 0.3).astype(np.float32),
        "noise": rng.standard_normal((count, 1, height, width), np.float32),
    }


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_each_engine_computes_the_network(network: Path, name: str) -> None:
    inputs = pictures(2, 32, 48)
    got = engine_kinds()[name](network).run(inputs)["filled"]
    padded = np.pad(inputs["image"], ((0, 0), (0, 0), (1, 1), (1, 1)))
    means = sum(padded[:, :, y : y + 32, x : x + 48] for y in range(3) for x in range(3)) / 9
    np.testing.assert_allclose(got, means + 0.25 + inputs["noise"] / 10, atol=1e-5)


def test_a_picture_does_not_depend_on_its_batch(network: Path) -> None:
    engine = load_engine(network, threads=1)
    inputs = pictures(3, 32, 32)
    together = engine.run(inputs)["filled"]
    for index in range(3):
        alone = engine.run({name: values[index : index + 1] for name, values in inputs.items()})["filled"]
        assert (together[index] == alone[0]).all()


def test_no_network_is_bound_to_a_core_that_others_would_be_bound_to_as_well(network: Path) -> None:
    openvino = pytest.importorskip("openvino")
    engine = load_engine(network, threads=1)
    with engine._request_for(pictures(1, 32, 32)) as request:  # type: ignore[attr-defined]
        compiled = request.get_compiled_model()
    assert compiled.get_property(openvino.properties.hint.enable_cpu_pinning) is False


def test_sizes_may_change_from_call_to_call(network: Path) -> None:
    engine = load_engine(network, threads=1)
    first = engine.run(pictures(1, 32, 32))["filled"]
    for side in range(16, 16 * 12, 16):
        assert engine.run(pictures(1, side, 32))["filled"].shape == (1, 3, side, 32)
    assert (engine.run(pictures(1, 32, 32))["filled"] == first).all()


@pytest.mark.parametrize("name", engine_kinds())
def test_each_engine_tells_what_a_file_says_of_itself(network: Path, tmp_path: Path, name: str) -> None:
    assert engine_kinds()[name](network).metadata == {"facefill.method": "swift"}
    (tmp_path / "cut.onnx").write_bytes(network.read_bytes()[:-7])
    with pytest.raises(InputError, match="export it again"):
        engine_kinds()[name](tmp_path / "cut.onnx")


@pytest.mark.parametrize("name", engine_kinds())
def test_a_network_that_cannot_be_run_is_one_line(network: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "odd.onnx").write_bytes(network.read_bytes().replace(b"Concat", b"Concax"))
    with pytest.raises(InputError, match=r"odd\.onnx, damaged"):
        engine_kinds()[name](tmp_path / "odd.onnx")


def test_threads_come_from_the_argument_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFILL_THREADS", "3")
    assert thread_count(5) == 5
    assert thread_count() == 3
    monkeypatch.delenv("FACEFILL_THREADS")
    assert thread_count() >= 1
    for wrong in ("0", "two", "-1"):
        monkeypatch.setenv("FACEFILL_THREADS", wrong)
        with pytest.raises(InputError, match="threads above 0"):
            thread_count()


def test_an_unknown_or_absent_device_is_one_line(network: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'cuda'"):
        load_engine(network, device="cuda0")
    with pytest.raises(InputError, match="pip install"):
        load_engine(network, device="coreml")


FIRST = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
import numpy as np
from facefill.runtime.engine import load_engine
sys.setswitchinterval(1e-6)
inputs = {name: np.zeros((1, planes, 32, 32), np.float32) for name, planes in (("image", 3), ("mask", 1), ("noise", 1))}
engines, together = [load_engine(Path(sys.argv[1]), threads=1) for _ in range(8)], Barrier(8)
for engine in engines:
    with engine._request_for(inputs):  # compiled before, so that all look at the same moment
        pass
def first(engine):
    together.wait()
    return engine.run(inputs)
with ThreadPoolExecutor(8) as pool:
    assert len(list(pool.map(first, engines))) == 8
"""


def test_networks_that_run_for_the_first_time_in_several_threads_do_not_wait_for_each_other(network: Path) -> None:
    subprocess.run([sys.executable, "-c", FIRST, str(network)], check=True, timeout=120)
