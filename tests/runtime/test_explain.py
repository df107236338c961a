"""What --samples, --show-steps and --show-attention write, with networks that learned nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from facefill.commands.cli import app
from facefill.errors import InputError
from facefill.methods import CLASSES
from facefill.training.checkpoint import save_weights

SMALL: dict[str, dict[str, Any]] = {
    "contextual_attention": {"width": 4, "critic_width": 4},
    "latent_search": {"width": 4, "critic_width": 4, "code_length": 8, "encoder_width": 4, "iterations": 3},
}
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    face = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    mask = np.zeros((128, 128), np.uint8)
    mask[40:88, 32:80] = 255
    Image.fromarray(face).save(tmp_path / "face.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")

    def complete(name: str, *words: str) -> Result:
        torch.manual_seed(0)
        kind = CLASSES[name]
        method = kind(kind.Config.model_validate(SMALL[name]))
        for parameter in method.generator.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
        weights = tmp_path / "small.safetensors"
        save_weights(weights, method.generator.state_dict(), {"method": name, "config": SMALL[name]})
        place = [str(tmp_path / "face.png"), "--mask", str(tmp_path / "mask.png"), "-o", str(tmp_path / "out.png")]
        return CliRunner().invoke(app, ["complete", *place, "--aligned", "--method", str(weights), *words])

    return complete


def shape(path: Path) -> tuple[int, ...]:
    return np.asarray(Image.open(path).convert("RGB")).shape


def test_samples_come_with_a_sheet_a_spread_and_their_distance(run: Run, tmp_path: Path) -> None:
    done = run("latent_search", "--samples", "3")
    assert done.exit_code == 0, done.output
    assert "3 samples: mean distance" in done.stdout
    pictures = [np.asarray(Image.open(tmp_path / f"out-{place}.png")) for place in (1, 2, 3)]
    assert (pictures[0] != pictures[1]).any()
    assert shape(tmp_path / "out-samples.png") == (64, 3 * 64, 3)
    assert shape(tmp_path / "out-spread.png") == (64, 64, 3)


def test_settings_of_the_search_are_given_on_the_command_line(run: Run, tmp_path: Path) -> None:
    assert run("latent_search", "--set", "iterations=1").exit_code == 0
    short = (tmp_path / "out.png").read_bytes()
    assert run("latent_search", "--overwrite").exit_code == 0
    assert (tmp_path / "out.png").read_bytes() != short
    assert isinstance(run("latent_search", "--overwrite", "--set", "iteration=1").exception, InputError)


def test_the_search_tells_its_losses_and_its_doubt_stands_with_the_warnings(run: Run) -> None:
    done = run("latent_search", "--json")  # its mean face is grey, which fits noise better than networks of noise do
    assert "1 faces: mean loss" in done.stderr
    assert "context 0." in done.stderr
    assert ["mean face" in warning for warning in json.loads(done.stdout)["warnings"]] == [True]


def test_the_steps_of_blending_stand_side_by_side(run: Run, tmp_path: Path) -> None:
    assert run("latent_search", "--show-steps", str(tmp_path / "steps.png")).exit_code == 0
    assert shape(tmp_path / "steps.png") == (64, 8 * 64, 3)


def test_attention_colours_the_hole_only(run: Run, tmp_path: Path) -> None:
    assert run("contextual_attention", "--show-attention", str(tmp_path / "attention.png")).exit_code == 0
    drawn, face = (np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("attention.png", "face.png"))
    hole = np.asarray(Image.open(tmp_path / "mask.png")) > 127
    assert (drawn[~hole] == face[~hole]).all()
    assert (drawn[hole] != face[hole]).any(-1).mean() > 0.9


def test_a_method_that_borrows_nothing_says_so(run: Run, tmp_path: Path) -> None:
    done = run("latent_search", "--show-attention", str(tmp_path / "attention.png"))
    assert isinstance(done.exception, InputError)
    assert "borrows" in str(done.exception)
    assert not (tmp_path / "out.png").exists()
