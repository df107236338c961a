"""Which methods an installation can run."""

from __future__ import annotations

import pytest

from facefill import catalog


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


def test_a_method_that_borrows_weights_names_one_that_has_some() -> None:
    for record in catalog.METHODS.values():
        if record.weights:
            assert catalog.METHODS[record.weights].inputs == record.inputs
            assert not catalog.METHODS[record.weights].weights
