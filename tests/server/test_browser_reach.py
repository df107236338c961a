"""The page without a network, for everybody, and behind a token, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.server.browser import AXE, EXAMPLE, complete, find_chromium, served, wait_for_faces
from tests.server.test_proxy import proxy

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
    for number, files in enumerate(("photo", "photo", "photo mask"), 1):
        page.click(f"main > details:nth-of-type({number}) > summary")
        one = page.locator(f"main > details:nth-of-type({number})")
        assert one.locator("table").first.is_visible()
        fields = one.locator("table").first.locator("tbody td:first-child").all_text_contents()
        assert {*files.split(), "preview", "covers" if number < 3 else "seed"} <= set(fields)
        command = one.locator("pre").first.text_content()
        assert re.findall(r"-F (\w+)=@", command) == files.split()
        assert command.endswith(f"{url}/v1/{('detect', 'unmask', 'complete')[number - 1]}")


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
@pytest.mark.parametrize("path", ["/", ""], ids=["prefix taken off", "prefix left on"])
def test_the_page_and_the_camera_work_below_the_prefix_of_an_nginx(chromium: Any, tmp_path: Path, path: str) -> None:
    with served("--root-path", "/faces") as own, proxy(tmp_path, urlsplit(own).port or 0, path) as address:
        site = f"{address}/faces"
        page = chromium.new_context(permissions=["camera"]).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{site}/")
        page.click("#go-live")
        page.wait_for_selector("#live-faces:has-text('0 faces')", timeout=60_000)
        page.click("#live-end")
        page.click("#samples-here button")
        wait_for_faces(page)
        complete(page)
        page.goto(f"{site}/docs")
        page.wait_for_selector("main > details")
        page.click("main > details:nth-of-type(2) > summary")
        assert f"{site}/v1/unmask" in page.text_content("main")
        assert [one for one in asked if not one.startswith((f"{site}/", "blob:"))] == []
        page.close()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: npm ci in web/")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["page", "phone"])
def test_axe_finds_nothing_serious(request: pytest.FixtureRequest, url: str, size: str, scheme: str) -> None:
    page = request.getfixturevalue(size)

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
    if size == "page":
        page.click("#keys")
        check("keys")
    page.goto(f"{url}/docs")
    page.wait_for_selector("main > details")
    page.click("main > details:nth-of-type(2) > summary")
    check("docs")


def test_the_page_says_to_whom_a_photo_goes(page: Any, chromium: Any) -> None:
    assert page.text_content(".promise") == "Your photo stays on this machine."
    assert page.text_content("#kept") == "Nothing is uploaded to anybody, and nothing is kept."
    with served("--name", "photos.example") as address:
        there = chromium.new_page()
        there.goto(address.replace("127.0.0.1", "photos.example"))
        host = urlsplit(there.url).netloc
        assert host.startswith("photos.example:")
        assert there.text_content(".promise") == f"Photos are sent to {host} and not kept."
        assert there.text_content("#kept") == f"Your photo is sent to {host}, to nobody else, and is not kept."
        there.close()


def test_a_phone_is_not_told_to_drop(page: Any, phone: Any) -> None:
    assert [one.is_visible(".pointer") for one in (page, phone)] == [True, False]


def test_a_photo_without_a_face_is_told_plainly_on_a_phone(phone: Any, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "grey").save(tmp_path / "wall.png")
    phone.set_input_files("#file", tmp_path / "wall.png")
    phone.wait_for_selector("#faces-none:has-text('None found yet')")
    assert not phone.is_visible("#faces .hint"), "there is no face to press on"
    phone.tap("#complete")
    phone.wait_for_selector("#trouble:not([hidden])")
    assert phone.locator("#trouble-close").bounding_box()["height"] < 45, "its word stays on one line"


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
