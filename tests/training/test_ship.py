"""Weights once: the file that runs is the file that training goes on from, and it knows how it came about."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from facefill import catalog
from facefill.catalog import Run
from facefill.errors import InputError
from facefill.methods.opened import read_weights
from facefill.training import ship as module
from facefill.training.average import average_weights
from facefill.training.checkpoint import load_weights, save_weights
from facefill.training.export import export, open_method
from facefill.training.history import history_of
from facefill.training.recipe import build_method
from facefill.training.settle import settle_weights, validation_faces
from facefill.training.ship import ship_weights
from tests.toy_datasets import write_dataset
from tests.training.test_export import write_weights

FIRST = {"recipe": "configs/context_encoder.toml", "images": 40, "side_px": 64, "commit": "abcdef0", "machine": "m"}
NORMED = {"widths": [4] * 6, "bottleneck": 4, "batch_norm": True}


def write_normed(path: Path, **about: Any) -> Path:
    """A context_encoder whose statistics of batches are not those that a new one has."""
    torch.manual_seed(0)
    method = build_method("context_encoder", NORMED)
    for layer in method.generator.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.8, 1.2)
    save_weights(path, method.generator.state_dict(), {"method": "context_encoder", "config": NORMED, **about})
    return path


def same(one: Path, other: Path) -> bool:
    (ours, about), (theirs, said) = read_weights(one), read_weights(other)
    return (
        about == said
        and ours.keys() == theirs.keys()
        and all(torch.equal(value.float(), theirs[name].float()) for name, value in ours.items())
    )


def test_statistics_of_batches_are_in_the_exported_file_too(tmp_path: Path) -> None:
    """Convolutions could take them in, and nobody could read them again."""
    weights = write_normed(tmp_path / "n.safetensors")
    export(weights, tmp_path / "out.onnx")
    assert same(weights, tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx").stat().st_size < 1.5 * weights.stat().st_size + 60_000


@pytest.mark.parametrize(
    "name",
    [name for name, entry in catalog.shipped_weights().items() if catalog.find_weights(name)[0].suffix == ".onnx"],
)
def test_training_can_go_on_from_every_shipped_file(name: str) -> None:
    """All tensors of the network are there, and its history."""
    path = catalog.find_weights(name)[0]
    assert sum(value.numel() for value in open_method(path).generator.state_dict().values()) > 0
    assert history_of(path) == list(catalog.shipped_weights()[name].training)


def test_files_that_are_none_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(catalog.find_weights("cover")[0].read_bytes()[:5000])
    with pytest.raises(InputError, match=r"a whole \.onnx file"):
        read_weights(tmp_path / "cut.onnx")
    from tests.networks import write_inpainting

    with pytest.raises(InputError, match="without its header"):
        read_weights(write_inpainting(tmp_path / "strange.onnx"))


def test_a_mean_is_weighted_and_keeps_the_first_ones_history(tmp_path: Path) -> None:
    first = write_normed(tmp_path / "first.safetensors", history=[FIRST])
    tensors, about = load_weights(first)
    save_weights(tmp_path / "second.safetensors", {name: value + 1 for name, value in tensors.items()}, about)
    average_weights(first, tmp_path / "second.safetensors", 0.25, tmp_path / "mean.safetensors")
    mean, _ = load_weights(tmp_path / "mean.safetensors")
    assert all(
        torch.allclose(mean[name].float(), value.float() + 0.25, atol=2e-3)
        for name, value in tensors.items()
        if value.is_floating_point()
    )
    (run,) = history_of(tmp_path / "mean.safetensors")
    assert run == Run(**FIRST, note="then the mean with 25% of second")
    with pytest.raises(InputError, match="weights of context_encoder"):
        average_weights(first, write_weights(tmp_path, "cover"), 0.5, tmp_path / "x.safetensors")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list of shipped weights that a test may change."""
    package = tmp_path / "checkout/src/facefill/weights"
    package.mkdir(parents=True)
    (tmp_path / "checkout/weights").mkdir()
    (tmp_path / "checkout/pyproject.toml").touch()
    shutil.copy(catalog.weights_folder() / "weights.toml", package)
    for where in (catalog, module):
        monkeypatch.setattr(where, "weights_folder", lambda: package)
    return tmp_path / "checkout"


def listed(checkout: Path) -> dict[str, catalog.Weights]:
    tables = tomllib.loads((checkout / "src/facefill/weights/weights.toml").read_text(encoding="utf-8"))
    return {name: catalog.Weights.model_validate(table) for name, table in tables.items()}


def test_shipping_writes_the_file_its_hash_and_its_history_and_nothing_else(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "export", lambda weights, out, beside: [shutil.copy(weights, out)][1:])
    before = listed(checkout)
    weights = write_normed(tmp_path / "run.safetensors", history=[FIRST, {**FIRST, "images": 9, "note": 'a "b"'}])
    ship_weights("context_encoder", weights)
    after = listed(checkout)
    path = checkout / "src/facefill/weights/context_encoder.onnx"
    entry = after["context_encoder"]
    assert entry.sha256 == catalog.file_hash(path) == catalog.file_hash(weights)
    assert [run.images for run in entry.training] == [40, 9]
    assert entry.training[1].note == 'a "b"'
    assert entry.paper == before["context_encoder"].paper
    assert {name: value for name, value in after.items() if name != "context_encoder"} == {
        name: value for name, value in before.items() if name != "context_encoder"
    }
    said = ship_weights("new_helper", write_normed(tmp_path / "plain.safetensors", images=77))
    assert "not in its header" in said[0]
    assert [run.images for run in listed(checkout)["new_helper"].training] == [77]
    assert listed(checkout)["new_helper"].file == "new_helper.onnx"
    assert listed(checkout)["context_encoder"] == entry


def test_a_file_that_shares_tensors_with_another_is_small_and_stays_right_when_that_one_is_shipped_again(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facefill.training.export.LARGE", 64)
    monkeypatch.setattr(catalog, "shipped_weights", lambda: listed(checkout))
    table = checkout / "src/facefill/weights/weights.toml"
    entry = (
        '\n[{name}]\nfile = "{name}.onnx"\nsha256 = ""\nmethod = "swift"\nms = 1\ndata = ""\nlicences = {{}}\n'
        'params = 1\n{beside}training = [\n  {{ recipe = "r", images = 1, side_px = 64 }},\n]\n'
    )
    table.write_text(entry.format(name="swift", beside=""))
    weights = write_weights(tmp_path, "swift")
    tensors, about = load_weights(weights)
    ship_weights("swift", weights)
    table.write_text(table.read_text() + entry.format(name="camera", beside='beside = "swift"\n'))
    changed = {name: value / 2 if name.startswith("detail.") else value for name, value in tensors.items()}
    save_weights(tmp_path / "camera.safetensors", changed, about)
    ship_weights("camera", tmp_path / "camera.safetensors")
    whole, part = (catalog.find_weights(name)[0] for name in ("swift", "camera"))
    assert part.stat().st_size < 0.8 * whole.stat().st_size
    assert same(part, tmp_path / "camera.safetensors")
    save_weights(tmp_path / "again.safetensors", {name: value / 4 for name, value in tensors.items()}, about)
    ship_weights("swift", tmp_path / "again.safetensors")
    assert same(catalog.find_weights("camera")[0], tmp_path / "camera.safetensors")
    whole.write_bytes(whole.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"swift.onnx with SHA-256"):
        catalog.find_weights("camera")


def test_what_only_torch_runs_lies_outside_the_package_and_is_found_or_one_line(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {"width": 4, "critic_width": 4, "code_length": 8, "encoder_width": 4}
    networks = build_method("latent_search", small).generator
    save_weights(tmp_path / "run.safetensors", networks.state_dict(), {"method": "latent_search", "config": small})
    settle_weights(
        tmp_path / "run.safetensors",
        tmp_path / "settled.safetensors",
        validation_faces(write_dataset(tmp_path / "faces", 12), 2),
        256,
    )
    ship_weights("latent_search", tmp_path / "settled.safetensors")
    assert same(checkout / "weights/latent_search.safetensors", tmp_path / "settled.safetensors")
    monkeypatch.setattr(catalog, "shipped_weights", lambda: listed(checkout))
    assert catalog.find_weights("latent_search")[0] == checkout / "weights/latent_search.safetensors"
    assert "dip" in catalog.usable()
    (checkout / "pyproject.toml").unlink()
    with pytest.raises(InputError, match="FACEFILL_WEIGHTS"):
        catalog.find_weights("latent_search")
    assert not {"dip", "latent_search"} & set(catalog.usable())
    with pytest.raises(InputError, match="a checkout"):
        ship_weights("latent_search", tmp_path / "settled.safetensors")
    monkeypatch.setenv("FACEFILL_WEIGHTS", str(checkout / "weights"))
    assert catalog.find_weights("latent_search")[0].is_file()
