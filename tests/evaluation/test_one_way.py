"""What is measured is what people get: evaluation's picture is that of the public function, byte for byte."""

from __future__ import annotations

from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import facefill
from facefill.catalog import METHODS
from facefill.evaluation.cases import complete_cases
from facefill.evaluation.protocols import PROTOCOLS, Case, draw_case, seed_of
from facefill.imaging.classical import CLASSICAL, fill_total_variation
from facefill.runtime.cover import FoundCover
from facefill.runtime.inpainter import open_inpainter
from facefill.training.checkpoint import save_weights
from tests.faces import draw_face
from tests.methods.test_contract import SMALL, build


class LowerHalf:
    def find(self, photo: np.ndarray, faces: list[object]) -> list[FoundCover]:
        side = len(photo)
        return [FoundCover((slice(side // 2, side), slice(0, side)), np.ones((side // 2, side), bool))]


@cache
def case_of(protocol: str) -> Case:
    one = PROTOCOLS[protocol]
    face, landmarks = draw_face(one.size_px, 4)
    return draw_case(one, face, landmarks, "face004.png", LowerHalf())


@pytest.fixture(scope="module", params=METHODS)
def method(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A name, or the file of a small network with a method's settings."""
    record = METHODS[request.param]
    if record.package and find_spec(record.package) is None:
        pytest.skip(f"no {record.package}")
    if record.kind == "classical":
        return record.name
    path: Path = tmp_path_factory.mktemp("nets") / f"{record.name}.safetensors"
    settings = SMALL[record.name] | ({"iterations": 1, "restarts": 1} if record.kind == "torch" else {})
    save_weights(path, build(record.name).generator.state_dict(), {"method": record.name, "config": settings})
    return str(path)


def test_evaluation_completes_as_the_public_function_does(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEFILL_THREADS", "1")
    monkeypatch.setitem(CLASSICAL, "total_variation", partial(fill_total_variation, steps=2))
    inpainter = open_inpainter(method, threads=1)
    for protocol in list(PROTOCOLS.values())[:: 7 if method == "patchmatch" else 1]:
        case, seed = case_of(protocol.name), seed_of(protocol, "face004.png")
        measured = complete_cases(inpainter, protocol, [case])[0]
        public = facefill.complete(
            case.shown, case.mask, method=method, seed=seed, aligned=True, covered=protocol.covers
        )
        assert (measured == public.photo).all(), protocol.name
        assert (measured[~case.mask] == case.shown[~case.mask]).all(), protocol.name
        assert (measured != case.shown).any(), protocol.name
