"""The ablations of `benchmarks/ablations.py`: what each variant changes, and the table of what is done."""

from __future__ import annotations

import importlib
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
GIVEN = {
    "method": "swift",
    "faces": Path("faces"),
    "images": 64,
    "alone": 32,
    "side": 256,
    "count": 20,
    "settings": ["data.covers=covers", "model.perceptual_net=net.npz"],
}


@pytest.fixture
def ablations(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("ablations")


def test_variants_of_swift_are_its_recipe_with_one_change(ablations: Any) -> None:
    given = Namespace(**GIVEN)
    recipes = {name: ablations.recipe_of(given, changes, 1) for name, changes in ablations.VARIANTS["swift"].items()}
    base = recipes["as it is"]
    assert [stage.players for stage in base.train.stages] == [("critic_small",), ("small", "critic_small")]
    assert (base.data.side_px, base.model["adversarial"], base.data.turned) == (256, 0.03, 3)
    unheard = recipes["no critic"]
    assert [stage.players for stage in unheard.train.stages] == [("small",)]
    for name, recipe in recipes.items():
        assert recipe.init == base.init
        assert recipe.init.name == "swift.onnx"
        changed = {key for key in base.model if base.model[key] != recipe.model[key]}
        changed |= {key for key, value in base.data if value != getattr(recipe.data, key)}
        assert len(changed) == (0 if recipe is base else 3 if name == "l1 alone" else 1), name


@pytest.mark.parametrize("method", ["context_encoder", "masked_gan"])
def test_recipes_of_papers_stay_as_they_were(ablations: Any, method: str) -> None:
    given = Namespace(**GIVEN | {"method": method, "side": 64, "settings": []})
    for changes in ablations.VARIANTS[method].values():
        recipe = ablations.recipe_of(given, changes, 0)
        assert recipe.data.side_px == 128
        assert [(stage.side_px, stage.images) for stage in recipe.train.stages] == [(64, 64)]


def test_the_table_tells_what_is_done_so_far(
    ablations: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(kind: str, seed: int, psnr: list[float]) -> None:
        place = tmp_path / "swift" / f"{kind}-1280-{seed}"
        place.mkdir(parents=True)
        np.savez(place / "judged-200.npz", **{"hole PSNR": psnr, "sharpness": [0.5, 0.7], "asymmetry": [1.0, 3.0]})

    write("asitis", 1, [20.0, 21.0])
    write("asitis", 2, [20.0, 20.0])
    write("l1alone", 1, [20.5, 21.0])
    words = ["ablations.py", "swift", "faces", str(tmp_path), "--images", "1280", "--first-seed", "1", "--done"]
    monkeypatch.setattr(sys, "argv", words)
    ablations.main()
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| as it is | 2 | 2 | 20.25 [20.00, 20.50] |  | 0.600 [0.600, 0.600] | 2.00 [2.00, 2.00] |",
        "| l1 alone | 2 | 1 | 20.75 | +0.25 | 0.600 | 2.00 |",
    ]
