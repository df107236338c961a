"""Which methods an installation can run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from facefill import catalog
from facefill.evaluation.marks import read_tables

ROOT = Path(__file__).parents[1]


def test_methods_without_weights_and_those_whose_weights_ship_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = {name: catalog.shipped_weights()["swift"] for name in ("swift", "latent_search")}
    monkeypatch.setattr(catalog, "shipped_weights", lambda: shipped)
    monkeypatch.setattr(catalog, "find_spec", lambda package: package)
    classical = {name for name, record in catalog.METHODS.items() if record.kind == "classical"}
    assert set(catalog.usable()) == {"swift", "latent_search", "dip"} | classical
    assert len(classical) >= 5


def test_a_method_whose_package_is_missing_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    there = set(catalog.usable())
    monkeypatch.setattr(catalog, "find_spec", lambda package: None)
    assert there - set(catalog.usable()) == {name for name in there if catalog.METHODS[name].package}
    assert {"telea", "navier_stokes", "total_variation"} <= set(catalog.usable())


def test_scores_are_the_figures_of_the_results_page() -> None:
    """A row is: holes, method, share of the training, n, PSNR, hole PSNR with its interval, ..."""
    page = (Path(__file__).parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    table = next(table for table in read_tables(page) if table.name == "all-methods")
    rows, dataset = {}, ""
    for line in table.body.splitlines():
        if line.startswith("**"):
            dataset = line.split("**")[1]
        elif line.startswith("| ") and "@" in line:
            holes, method, _, _, _, score, *_ = (cell.strip() for cell in line.strip("| ").split("|"))
            rows[method, f"{dataset}/{holes}"] = score.split()[0]
    scored = {name: weights.scores for name, weights in catalog.shipped_weights().items() if weights.scores}
    assert scored
    for name, scores in scored.items():
        for place, value in scores.items():
            assert f"{value:.2f}" == rows[name, place], (name, place)
    shown = {row["name"]: row["scores"] for row in catalog.describe()}
    assert {name: scores for name, scores in shown.items() if scores} == scored
    assert shown["dip"] == shown["telea"] == {}, "no figures of other methods"


def test_a_method_that_borrows_weights_names_one_that_has_some() -> None:
    for record in catalog.METHODS.values():
        if record.weights:
            assert catalog.METHODS[record.weights].inputs == record.inputs
            assert not catalog.METHODS[record.weights].weights


@pytest.mark.parametrize("name", sorted(catalog.shipped_weights()))
def test_every_shipped_file_has_a_history_that_git_and_the_recipes_know(name: str) -> None:
    runs = catalog.shipped_weights()[name].training
    assert runs
    for run in runs:
        assert run.images > 0
        assert run.machine
        assert not run.recipe or (ROOT / run.recipe).is_file()
        assert re.fullmatch("[0-9a-f]{7}", run.commit)


def test_the_share_of_the_papers_training_counts_pictures_times_pixels() -> None:
    """Half the pictures at half the side are an eighth; what the paper does not have counts for nothing."""
    shipped = catalog.shipped_weights()["swift"]
    runs = (catalog.Run(recipe="", images=400, side_px=64), catalog.Run(recipe="", images=100, side_px=128))
    paper = catalog.PaperTraining(images=1000, side_px=128)
    assert shipped.model_copy(update={"training": runs, "paper": paper}).paper_share == pytest.approx(0.1 + 0.1)
    more = (*runs, catalog.Run(recipe="", images=900, side_px=128, own=True))
    assert shipped.model_copy(update={"training": more, "paper": paper}).paper_share == pytest.approx(0.2)
    assert shipped.paper_share is None
    shares = {row["name"]: row["paper_share"] for row in catalog.describe()}
    assert shares["dip"] == shares["latent_search"] == catalog.shipped_weights()["latent_search"].paper_share


def test_cards_say_which_share_of_the_papers_training_their_file_has_had() -> None:
    shares = {name: weights.paper_share for name, weights in catalog.shipped_weights().items()}
    papers = {name: share for name, share in shares.items() if share is not None}
    assert len(papers) >= 4
    for name, share in papers.items():
        card = (ROOT / "weights" / f"{name}.md").read_text(encoding="utf-8")
        assert f"{100 * share:.0f} %" in card, name
        assert ("short-budget variant" in " ".join(card.split())) == (share < 0.5), name
