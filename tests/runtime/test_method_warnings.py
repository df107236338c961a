"""What a method doubts reaches the photos that it is about."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import numpy as np

from facefill.catalog import METHODS
from facefill.files.photo import read_photo
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.method_warnings import collect_warnings
from facefill.runtime.model import Model


def doubt(text: str, rows: list[int]) -> None:
    logging.getLogger("facefill").warning(text, extra={"warning": text, "rows": rows})


class Doubter(Model):
    """Draws black and doubts what shows a red corner, in as many calls as there are."""

    def fill(self, faces: np.ndarray, *others: object) -> np.ndarray:
        red = np.flatnonzero(faces[:, 0, 0, 0] == 255).tolist()
        if red:
            doubt("far off", red)
        return np.zeros_like(faces)[:, None]


def test_each_plan_gets_what_is_said_of_its_crops_once_for_all_samples() -> None:
    inpainter = Inpainter(Doubter(METHODS["masked_gan"], None), Mock(), Mock())
    mask = np.zeros((256, 256), bool)
    mask[100:150, 100:150] = True
    photos = np.zeros((20, 256, 256, 3), np.uint8)
    photos[[3, 19], 0, 0] = 255
    plans = [inpainter.plan_complete(read_photo(photo), mask, aligned=True) for photo in photos]
    drawn = inpainter.run(plans, samples=2)
    said = {index: one.warnings for index, one in enumerate(drawn) if one.warnings}
    assert said == {3: ("1 of 1 crops: far off",), 19: ("1 of 1 crops: far off",)}
    assert inpainter.finish(plans[3], drawn[3]).warnings == said[3]


def test_a_listener_hears_its_own_thread_only() -> None:
    with collect_warnings() as ours, ThreadPoolExecutor(1) as pool:
        pool.submit(doubt, "theirs", [0]).result()
        doubt("ours", [2])
        logging.getLogger("facefill").warning("something else")
    doubt("too late", [0])
    assert ours == [("ours", [2])]
