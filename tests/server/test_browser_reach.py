"""The page without a network, for everybody, and behind a token, in a real browser."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.server.browser import AXE, EXAMPLE, complete, find_chromium, served, wait_for_faces

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed: pip install playwright"),
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium, or set CHROMIUM"),
]


def test_the_docs_are_complete_without_a_network(page: Any, url: str) -> None:
    page.context.route(lambda address: urlsplit(address).netloc != urlsplit(url).netloc, lambda route: route.abort())
    page.goto(f"{url}/docs")
    page.wait_for_selector("main > details")
    said = page.text_content("main")
    for path in ("/v1/unmask", "/v1/complete", "/v1/detect", "/v1/methods", "/v1/health", "/v1/metrics"):
        assert path in said
    page.click("main > details:nth-of-type(2) > summary")
    assert page.is_visible("main > details:nth-of-type(2) table >> nth=0")


def test_the_page_works_below_a_prefix(chromium: Any, url: str) -> None:
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route(f"{url}/photos/**", lambda route: route.continue_(url=route.request.url.replace("/photos", "", 1)))
    page.goto(f"{url}/photos/")
    page.click("#samples-here button")
    wait_for_faces(page)
    complete(page)
    page.goto(f"{url}/photos/docs")
    page.wait_for_selector("main > details")
    page.click("main > details:nth-of-type(2) > summary")
    assert f"{url}/photos/v1/unmask" in page.text_content("main")
    assert [one for one in asked if not one.startswith((f"{url}/photos/", "blob:"))] == []
    page.close()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm ci in web/")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Any, url: str, scheme: str) -> None:
    def check(state: str) -> None:
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")["violations"]
        bad = [(one["id"], one["impact"], [node["target"] for node in one["nodes"]]) for one in found]
        assert [one for one in bad if one[1] in ("serious", "critical")] == [], state

    page.emulate_media(color_scheme=scheme)
    page.wait_for_timeout(400)
    check("empty")
    page.set_input_files("#file", EXAMPLE)
    wait_for_faces(page)
    page.click("#how summary")
    check("found")
    page.check('#how input[value="telea"]')
    complete(page)
    check("completed")
    page.click("#keys")
    check("keys")
    page.goto(f"{url}/docs")
    page.wait_for_selector("main > details")
    page.click("main > details:nth-of-type(2) > summary")
    check("docs")


def test_a_token_is_asked_for_and_kept_for_the_tab(chromium: Any) -> None:
    token = "a-long-secret-of-ours"
    with served("--token", token) as address:
        page = chromium.new_page()
        page.goto(address)
        page.wait_for_selector("#ask-token[open]")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("#methods li", state="attached")
        page.set_input_files("#file", EXAMPLE)
        wait_for_faces(page)
        assert json.loads(page.evaluate("JSON.stringify([...Object.keys(localStorage)])")) == []
        page.close()
