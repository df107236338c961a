"""The page on adding a method is true: its pieces, put in place, are a method like any other."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facefill.catalog import METHODS, Record
from facefill.methods import CLASSES
from facefill.runtime.model import load
from facefill.training.export import export
from facefill.training.recipe import TRAINABLE, read_recipe
from facefill.training.train import train
from tests.methods import test_contract as contract
from tests.toy_datasets import write_dataset

PAGE = Path(__file__).parents[2] / "docs" / "add-a-method.md"
BLOCKS = dict(re.findall(r"^```\w+\n# ([^\n]+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE))
"""The page's pieces, by where they go."""
NAME = "plain_unet"


@pytest.fixture(scope="module", autouse=True)
def added(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The method, in the tables for as long as this module's tests run."""
    path = tmp_path_factory.mktemp("page") / f"{NAME}.py"
    path.write_text(BLOCKS[f"{NAME}.py"], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, NAME, module)
        spec.loader.exec_module(module)
        line: dict[str, Any] = eval(BLOCKS["in CLASSES"], vars(module))
        record = Record(name=NAME, **tomllib.loads(BLOCKS["in catalog.toml"])[NAME])
        for table, value in ((CLASSES, line[NAME]), (TRAINABLE, line[NAME]), (METHODS, record)):
            patch.setitem(table, NAME, value)
        yield


def test_the_page_names_four_pieces_and_they_are_short() -> None:
    assert sorted(BLOCKS) == ["in CLASSES", "in catalog.toml", f"{NAME}.py", f"{NAME}.toml"]
    assert sum(text.strip().count("\n") + 1 for text in BLOCKS.values()) < 80


@pytest.mark.parametrize("name", [name for name in vars(contract) if name.startswith("test_")])
def test_it_promises_what_every_method_promises(name: str, tmp_path: Path) -> None:
    test = getattr(contract, name)
    given = {"method": contract.build(NAME), "tmp_path": tmp_path}
    test(**{word: given[word] for word in inspect.signature(test).parameters})


def test_it_trains_is_exported_and_completes(tmp_path: Path) -> None:
    recipe_file = tmp_path / "plain_unet.toml"
    recipe_file.write_text(BLOCKS[f"{NAME}.toml"], encoding="utf-8")
    folder = write_dataset(tmp_path / "faces")
    words = {
        "data.folder": folder,
        "data.cache": tmp_path / "cache",
        "data.side_px": 64,
        "data.workers": 0,
        "data.validation_images": 2,
        "train.eval_images": 8,
        "model.widths": "[8, 8, 16]",
        "train.stages": "[{side_px=64, images=16, batch=4}]",
    }
    recipe = read_recipe(recipe_file, [f"{key}={value}" for key, value in words.items()])
    weights = train(recipe, tmp_path / "run")
    assert all(difference.largest < 1e-3 for difference in export(weights, tmp_path / "theirs.onnx"))
    model = load(tmp_path / "theirs.onnx", threads=1)
    assert model.record == METHODS[NAME]
    face, mask = np.full((1, 64, 64, 3), 90, np.uint8), np.zeros((1, 64, 64), bool)
    mask[:, 20:40, 20:40] = True
    completed = model.complete(face, mask)[0, 0]
    assert (completed[~mask[0]] == 90).all()
    assert (completed[mask[0]] != 90).any()
