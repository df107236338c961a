"""What a method doubts reaches the photos that it is about."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from facefill.runtime.doubts import Doubts, listening


@dataclass(frozen=True)
class Crops:
    """A plan, as far as doubts know one."""

    tasks: tuple[str, ...]


def doubt(text: str, rows: list[int]) -> None:
    logging.getLogger("facefill").warning(text, extra={"doubt": text, "rows": rows})


def test_each_plan_gets_what_is_said_of_its_crops_once_for_all_samples() -> None:
    plans: list[Any] = [Crops(("a",)), Crops(("b", "c")), Crops(("d",))]
    doubts = Doubts([("far off", [1, 5, 6])])  # the second crop twice: of two samples, four crops each
    assert doubts.of(plans) == [(), ("2 of 2 crops: far off",), ()]
    assert Doubts([("far off", [0]), ("dark", [0])]).of(plans)[0] == ("1 of 1 crops: far off", "1 of 1 crops: dark")
    assert Doubts().of([]) == []


def test_a_listener_hears_its_own_thread_only() -> None:
    with listening() as ours, ThreadPoolExecutor(1) as pool:
        pool.submit(doubt, "theirs", [0]).result()
        doubt("ours", [2])
        logging.getLogger("facefill").warning("something else")
    doubt("too late", [0])
    assert ours.said == [("ours", [2])]
