"""Which methods an installation can run."""

from __future__ import annotations

import pytest

from facefill import catalog


def test_methods_without_weights_and_those_whose_weights_ship_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = {name: catalog.shipped_weights()["swift"] for name in ("swift", "latent_search")}
    monkeypatch.setattr(catalog, "shipped_weights", lambda: shipped)
    classical = {name for name, record in catalog.METHODS.items() if record.kind == "classical"}
    assert set(catalog.usable()) == {"swift", "latent_search", "dip"} | classical
    assert len(classical) >= 5


def test_a_method_that_borrows_weights_names_one_that_has_some() -> None:
    for record in catalog.METHODS.values():
        if record.weights:
            assert catalog.METHODS[record.weights].inputs == record.inputs
            assert not catalog.METHODS[record.weights].weights
