"""report.html in a real browser: its tables sort, and it can be read on light and on dark pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from facefill.evaluation.benchmark import EvaluationSettings
from facefill.evaluation.evaluate import evaluate
from tests.server.browser import browser, find_chromium
from tests.toy_datasets import write_dataset

pytestmark = [pytest.mark.soak, pytest.mark.skipif(find_chromium() is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("playwright")
    folder = tmp_path_factory.mktemp("page")
    faces = write_dataset(folder / "faces", 8, split="test", side=64)
    methods = ("telea", "navier_stokes:3", "total_variation")
    for _ in evaluate(
        EvaluationSettings(faces, folder / "report", methods=methods, holes=("random60@64",), timings=False)
    ):
        pass
    with browser() as opened:
        shown = opened.new_page(viewport={"width": 1300, "height": 900})
        asked: list[str] = []
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto((folder / "report" / "report.html").as_uri())
        shown.asked = asked
        yield shown


def column(page: Any, place: int) -> list[str]:
    texts: list[str] = page.locator(f"table.sorts >> nth=0 >> css=tbody tr td:nth-child({place})").all_inner_texts()
    return texts


def test_a_click_sorts_by_number_and_another_turns_it_round(page: Any) -> None:
    heading = page.locator("table.sorts >> nth=0 >> css=thead button", has_text=re.compile("^PSNR"))
    for up in (True, False):
        heading.click()
        values = [float(text.split()[0]) for text in column(page, 4)]
        assert values == sorted(values, reverse=not up)
        assert heading.locator("..").get_attribute("aria-sort") == ("ascending" if up else "descending")


def test_the_keyboard_sorts_too_and_names_go_by_letter(page: Any) -> None:
    page.locator("table.sorts >> nth=0 >> css=thead button >> nth=0").focus()
    page.keyboard.press("Enter")
    assert column(page, 1) == ["navier_stokes", "telea", "total_variation"]


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_pages_follow_the_colour_scheme_with_enough_contrast(page: Any, scheme: str, dark: bool) -> None:
    page.emulate_media(color_scheme=scheme)

    def light(selector: str, name: str) -> float:
        colour = page.eval_on_selector(selector, f"e => getComputedStyle(e)['{name}']")
        levels = [int(level) / 255 for level in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in levels]
        return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    behind = light("body", "backgroundColor")
    assert (behind < 0.1) == dark
    for selector, name in (("body", "color"), ("table.sorts td", "color"), ("svg text", "fill")):
        pair = sorted([light(selector, name), behind])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 7, f"{selector} on {scheme}"


def test_nothing_comes_from_elsewhere_and_every_picture_is_there(page: Any) -> None:
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    widths = page.eval_on_selector_all("img", "all => all.map(e => e.naturalWidth)")
    assert len(widths) >= 3 * 4
    assert set(widths) == {64}
