"""What the tests of the service and of its page in a real browser share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from starlette.testclient import TestClient

from facefill.server.app import Service, build_app
from tests.server.browser import EXAMPLE, SIZES, browser, hosted, served
from tests.server.service import LIMITS, Gate, service


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A service of tiny networks with small limits."""
    return service(tmp_path_factory.mktemp("net"), Gate(), **LIMITS)


@pytest.fixture(scope="module")
def client(made: Service) -> Iterator[TestClient]:
    with TestClient(build_app(made.settings, made), base_url="http://localhost:8000") as client:
        yield client


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with hosted() as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def png(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example without JPEG, so that equal means equal; with a text chunk as metadata."""
    path = tmp_path_factory.mktemp("photo") / "holiday.png"
    Image.open(EXAMPLE).save(path, dpi=(300, 300))
    return path


@pytest.fixture
def page(chromium: Any, url: str) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1200, "height": 800})
    yield from watched(context.new_page(), url)
    context.close()


@pytest.fixture
def phone(chromium: Any, url: str) -> Iterator[Any]:
    context = chromium.new_context(**SIZES["phone"])
    yield from watched(context.new_page(), url)
    context.close()


def watched(page: Any, url: str) -> Iterator[Any]:
    """Whatever the test does: nothing goes to another host, nothing breaks the policy, no script fails."""
    asked, bad = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: bad.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: bad.append(str(error)))
    page.goto(url)
    yield page
    hosts = {urlsplit(one).netloc for one in asked if not one.startswith("blob:")}
    assert hosts == {urlsplit(url).netloc}
    assert [text for text in bad if "status of 4" not in text] == []
