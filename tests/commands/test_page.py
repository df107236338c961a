"""`facefill page`: a folder that any web server can offer, within its size, and that names no other place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from facefill.catalog import shipped_weights
from facefill.server import static
from tests.command import Run
from tests.commands.running import refused

MOST_BYTES = 60_000_000


def test_page_writes_all_that_the_browser_needs(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "site"
    code, said, err = run("page", out)
    assert (code, err) == (0, "")
    files = {path.relative_to(out).as_posix(): path.stat().st_size for path in out.rglob("*") if path.is_file()}
    assert sum(files.values()) <= MOST_BYTES
    assert f"{sum(files.values()) / 1e6:.1f} MB" in said
    contents = json.loads((out / "page.json").read_text())
    assert contents["files"].items() <= files.items()
    assert [method["name"] for method in contents["methods"]] == ["swift"]
    shipped = shipped_weights()
    for name in ("finder", "second_look", "cover", "swift", "camera"):
        assert contents["weights"][name] == {"file": f"weights/{name}.onnx", "sha256": shipped[name].sha256}
    assert {"index.html", "sw.js", "manifest.webmanifest", "icon.svg"} <= files.keys()
    manifest = json.loads((out / "manifest.webmanifest").read_text())
    assert (manifest["start_url"], manifest["display"]) == ("./", "standalone")


def test_the_page_names_no_other_origin_and_its_policy_allows_none(run: Run, tmp_path: Path) -> None:
    run("page", tmp_path / "site")
    html = (tmp_path / "site" / "index.html").read_text()
    keeper = (tmp_path / "site" / "sw.js").read_text()
    assert 'data-engine="browser"' in html
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    assert json.dumps(policy[1]) in keeper
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    assert rules["default-src"] == "'none'"
    allowed = {"'self'", "'none'", "'wasm-unsafe-eval'", "blob:"}
    assert {place for places in rules.values() for place in places.split()} <= allowed
    assert rules["connect-src"] == "'self'"
    named = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert named
    assert all(place.startswith(("./", "#")) for place in named)


def test_two_pages_of_one_installation_are_the_same(tmp_path: Path) -> None:
    for name in ("one", "two"):
        static.write_page(tmp_path / name)
    for name in ("page.json", "sw.js", "index.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_page_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("kept")
    assert "name another one" in refused(run, tmp_path, "page", tmp_path / "mine")
    assert "name another one" in refused(run, tmp_path, "page", tmp_path / "mine" / "letter.txt")


def test_page_without_its_runtime_says_how_to_build_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static, "files", lambda name: tmp_path)
    assert "make page" in refused(run, tmp_path, "page", tmp_path / "site")
