"""Models: known pixels come back bit for bit, sizes fit, and shapes are checked at the door."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facefill
from facefill.catalog import METHODS
from facefill.errors import InputError
from facefill.runtime.model import Model, from_network, load, to_network
from tests.networks import write_inpainting


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(write_inpainting(tmp_path_factory.mktemp("net") / "tiny.onnx"), threads=1, exact=True)


def faces(count: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count + height)
    return rng.integers(0, 256, (count, height, width, 3), np.uint8), rng.random((count, height, width)) < 0.4


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 50), width=st.integers(1, 50))
def test_any_size_comes_back_with_its_known_pixels(tiny: Model, height: int, width: int) -> None:
    pictures, masks = faces(2, height, width)
    before = pictures.copy(), masks.copy()
    completed = tiny.complete(pictures, masks)
    assert completed.shape == (2, 1, height, width, 3)
    assert (completed[:, 0][~masks] == pictures[~masks]).all()
    assert (pictures == before[0]).all()
    assert (masks == before[1]).all()


def test_padding_reflects_so_that_the_cut_picture_is_as_if_whole(tiny: Model) -> None:
    flat = np.full((1, 40, 40, 3), 100, np.uint8)
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 39, 10] = True
    # The hole holds 0 on [-1, 1]; its neighbour below is the reflected row above, so 8 of 9 pixels are known.
    expected = from_network(np.full((1, 3, 1, 1), (100 / 127.5 - 1) * 8 / 9 + 0.25, np.float32))[0, 0, 0, 0]
    assert tiny.fill(flat, mask, [0], range(1), {})[0, 0, 39, 10, 0] == expected


def test_samples_can_be_drawn_one_by_one(tiny: Model) -> None:
    pictures, masks = faces(2, 32, 32)
    together = tiny.complete(pictures, masks, seeds=[4, 5], samples=3)
    for number in range(3):
        assert (tiny.complete(pictures, masks, seeds=[4, 5], first=number)[:, 0] == together[:, number]).all()


def test_a_network_of_one_side_says_so_and_nothing_is_resized() -> None:
    fixed = Model(METHODS["swift"].model_copy(update={"fixed_size": True}), None)
    with pytest.raises(InputError, match=r"faces of 256x256 px for swift, got 64x64.*aligned=True"):
        fixed.complete(*faces(1, 64, 64))


def test_conversion_to_the_network_and_back_is_exact() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, -1)
    assert to_network(levels).min() == -1
    assert to_network(levels).max() == 1
    assert (from_network(to_network(levels)) == levels).all()


@pytest.mark.parametrize("name", ["telea", "navier_stokes"])
def test_classical_methods_complete_through_the_same_door(name: str) -> None:
    pictures, masks = faces(1, 32, 32)
    completed = facefill.load(name).complete(pictures, masks)
    assert (completed[:, 0][~masks] == pictures[~masks]).all()
    assert completed.shape == (1, 1, 32, 32, 3)


def test_no_faces_are_no_work(tiny: Model) -> None:
    assert tiny.complete(np.zeros((0, 8, 8, 3), np.uint8), np.zeros((0, 8, 8), bool)).shape == (0, 1, 8, 8, 3)


def test_wrong_shapes_and_names_are_one_line(tiny: Model, tmp_path: Path) -> None:
    pictures, masks = faces(1, 16, 16)
    with pytest.raises(InputError, match="faces as"):
        tiny.complete(pictures.astype(float), masks)
    with pytest.raises(InputError, match="masks as"):
        tiny.complete(pictures, masks[:, :8])
    with pytest.raises(InputError, match="has one"):
        load("telea").complete(pictures, masks, samples=2)
    with pytest.raises(InputError, match="did you mean 'telea'"):
        load("tela")
    with pytest.raises(InputError, match="nothing at"):
        load(tmp_path / "gone.onnx")
    with pytest.raises(InputError, match="without a method"):
        load(write_inpainting(tmp_path / "anonymous.onnx", method=None))
    (tmp_path / "cut.safetensors").write_bytes(b"abc")
    with pytest.raises(InputError, match=r"a whole \.safetensors file"):
        load(tmp_path / "cut.safetensors")


def test_the_catalog_lists_the_default_first() -> None:
    assert next(iter(METHODS)) == "swift"
    assert facefill.METHODS is METHODS
