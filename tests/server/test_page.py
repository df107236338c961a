"""The built page is the build of its sources, and asks nobody but its own server for anything."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin

import pytest
from PIL import Image
from starlette.testclient import TestClient

from facefill.catalog import METHODS
from facefill.files import metadata
from facefill.files.formats import FORMATS
from facefill.files.tags import tag_numbers
from facefill.server import app
from facefill.server.app import build_app, read_page
from facefill.server.static import write_page
from tests.server.service import Gate, service

ROOT = Path(__file__).parents[2]
WEB, PAGE = ROOT / "web", ROOT / "src" / "facefill" / "server" / "page"
SOURCES = (
    "index.html",
    "docs.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
    "opencv.ts",
    "src",
    "public",
)

# What the browser's engine writes into files, and what messages of its libraries speak of; nothing asks for these.
NAMES = {
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia",
    "http://ns.adobe.com/xap/1.0/\\0",
    "https://ns.facefill/provenance/1.0/",
    "https://web.dev/cross-origin-isolation-guide/",
    "https://rolldown.rs/in-depth/bundling-cjs#require-external-modules",
}


def hash_of(folder: Path, paths: list[Path]) -> str:
    """As `hash` in web/vite.config.ts."""
    total = hashlib.sha256()
    for name in sorted(path.relative_to(folder).as_posix() for path in paths):
        content = (folder / name).read_bytes()
        total.update(f"{name}\n{len(content)}\n".encode() + content)
    return total.hexdigest()


def files_in(*paths: Path) -> list[Path]:
    return [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]


def test_the_built_page_is_the_build_of_its_sources() -> None:
    said = json.loads((PAGE / "build.json").read_text())
    fix = "run: make page"
    assert said["sources"] == hash_of(WEB, files_in(*(WEB / name for name in SOURCES))), fix
    assert said["built"] == hash_of(PAGE, [path for path in files_in(PAGE) if path.name != "build.json"]), fix


@pytest.mark.soak
def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("no npm here")
    web, page = tmp_path / "web", tmp_path / "src" / "facefill" / "server" / "page"
    shutil.copytree(WEB, web, ignore=shutil.ignore_patterns("node_modules"))
    for command in (["npm", "ci"], ["npm", "run", "build"]):
        subprocess.run(command, cwd=web, check=True, capture_output=True)
    assert {path.relative_to(page): path.read_bytes() for path in files_in(page)} == {
        path.relative_to(PAGE): path.read_bytes() for path in files_in(PAGE)
    }


def test_the_page_has_the_description_of_the_api() -> None:
    written = subprocess.run([sys.executable, WEB / "describe.py"], capture_output=True, text=True, check=True).stdout
    assert written == (WEB / "openapi.json").read_text(encoding="utf-8"), "run: make page"


@pytest.mark.soak
def test_the_sources_are_linted_tested_and_typed_from_the_description_of_the_api(tmp_path: Path) -> None:
    if not (WEB / "node_modules").is_dir():
        pytest.skip("web/node_modules is missing: npm ci in web/")
    types = tmp_path / "schema.ts"
    generate = ["npx", "openapi-typescript", "openapi.json", "-o", str(types)]
    for command in (generate, ["npm", "run", "lint"], ["npm", "test"]):
        done = subprocess.run(command, cwd=WEB, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert types.read_text() == (WEB / "src" / "schema.ts").read_text(), "run: make page"


def test_downloads_keep_every_suffix_that_the_command_keeps() -> None:
    source = (WEB / "src" / "names.ts").read_text(encoding="utf-8")
    named = {kind: tuple(json.loads(suffixes)) for kind, suffixes in re.findall(r'"(image/\w+)": (\[[^]]+\])', source)}
    assert named == {entry.media_type: entry.suffixes for entry in FORMATS.values()}


def test_every_method_has_a_thumbnail() -> None:
    assert {path.stem for path in (WEB / "src" / "thumbnails").iterdir()} == set(METHODS)


def test_the_page_names_nothing_from_elsewhere() -> None:
    for path, (content, _) in read_page().items():
        if path.endswith(".jpg"):
            continue
        text = content.decode()
        found = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`)]*", text))
        assert found <= (NAMES if "/worker-" in path else {"http://www.w3.org/2000/svg"}), path


def test_scripts_and_styles_are_files_of_the_server(tmp_path: Path) -> None:
    made = service(tmp_path, Gate())
    with TestClient(build_app(made.settings, made), base_url="http://localhost") as client:
        for path in ("/", "/docs"):
            page = client.get(path)
            assert page.headers["content-type"].startswith("text/html")
            assert not re.search(r"<style|style=|<script(?![^>]*src=)|\son\w+=", page.text)
            links = re.findall(r"(?:src|href)=\"([^\"#]+)\"", page.text)
            assert len(links) >= 3
            assert not [link for link in links if link.startswith("/")], "the page may lie below a prefix"
            for link in links:
                assert client.get(urljoin(path, link)).status_code == 200
        asset = next(path for path in read_page() if path.startswith("/assets/"))
        assert "immutable" in client.get(asset).headers["cache-control"]
        assert client.get("/assets/../build.json").status_code == 404


def test_fonts_are_those_that_exist_everywhere() -> None:
    found: list[str] = []
    for path, (content, _) in read_page().items():
        if path.endswith(".css"):
            text = content.decode()
            assert "@font-face" not in text
            found += re.findall(r"font(?:-family)?:([^;}]+)", text)
        elif path.endswith(".js"):
            found += re.findall(r"\.font=[`\"']([^`\"']+)", content.decode())
    assert len(found) > 8
    for families in found:
        assert families == "inherit" or families.rpartition(",")[2].strip() in ("sans-serif", "monospace"), families


def test_heic_is_offered_where_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, offered in ((object(), True), (None, False)):
        monkeypatch.setattr(app, "find_spec", lambda name, there=there: there)
        assert (b"HEIC" in read_page()["/"][0]) == offered


def test_a_phone_can_install_the_page(tmp_path: Path) -> None:
    write_page(tmp_path / "site")
    manifest = json.loads((tmp_path / "site" / "manifest.webmanifest").read_text())
    html = (tmp_path / "site" / "index.html").read_text()
    assert manifest["name"] == manifest["short_name"] == "facefill"
    assert manifest["start_url"] == manifest["scope"] == "./"
    assert manifest["display"] == "standalone"
    assert re.fullmatch("#[0-9a-f]{6}", manifest["background_color"])
    icons = {icon["sizes"]: icon for icon in manifest["icons"]}
    assert set(icons) == {"any", "192x192", "512x512"}
    for size in (192, 512):
        icon = icons[f"{size}x{size}"]
        with Image.open(tmp_path / "site" / icon["src"]) as drawn:
            assert (drawn.size, f"image/{drawn.format.lower()}") == ((size, size), icon["type"])
            assert "transparency" not in drawn.info, "phones cut it to their own shape"
    assert '<link rel="manifest" href="./manifest.webmanifest">' in html
    touch = re.search(r'<link rel="apple-touch-icon" href="([^"]+)">', html)[1]
    assert (tmp_path / "site" / touch).is_file()


def test_the_lock_file_pins_everything_and_names_no_registry() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    package = json.loads((WEB / "package.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all("resolved" not in entry for entry in packages.values())
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    for name, version in package["devDependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+(-release\.\d+)?", version)
        assert packages[f"node_modules/{name}"]["version"] == version


def test_the_browser_keeps_the_exif_that_the_command_keeps() -> None:
    source = (
        (WEB / "src" / "local" / "exif.ts")
        .read_text(encoding="utf-8")
        .replace('"\n    + "', "")
        .replace('"\n  + "', "")
    )
    listed = {
        name: tag_numbers(numbers) for name, numbers in re.findall(r'(\w+)\]?(?: =|:) numbersOf\("([^"]+)"\)', source)
    }
    names = {"ROOT": 0, "EXIF": 0x8769, "GPS": 0x8825, "INTEROPERABILITY": 0xA005}
    assert {number: listed[name] for name, number in names.items()} == metadata._DIRECTORIES
    assert listed["TEXTS"] == metadata._TEXTS
    assert f"LONGEST_NUMBERS = {metadata._LONGEST_NUMBERS}," in source
    assert f"LONGEST_TEXT = {metadata._LONGEST_TEXT:_};" in source
    assert metadata._BINARY.pattern.replace("*+", "*") in source
