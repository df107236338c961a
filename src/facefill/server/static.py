"""The page as a folder of files that needs no server of ours: the browser itself finds faces and completes them."""

import hashlib
import json
import re
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

from facefill.catalog import describe, find_weights
from facefill.errors import InputError, explained

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
"""What the page may load and whom it may ask: this origin alone. Its worker is a blob, which keeps to the same."""
METHOD = "swift"
NETWORKS = ("finder", "second_look", "cover", METHOD, "camera")
_CHANGES = {
    '<html lang="en">': '<html lang="en" data-engine="browser">',
    '<meta charset="utf-8">': '<meta charset="utf-8">\n'
    f'  <meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    '  <link rel="manifest" href="./manifest.webmanifest">\n  <link rel="apple-touch-icon" href="./icon-192.png">',
    '\n      <a class="quiet" href="docs">API</a>': "",
    "on this machine.": "on this device.",
    "JPEG, PNG, WebP, AVIF, TIFF, HEIC.": "JPEG, PNG, WebP, AVIF.",
}
"""What of the page of `facefill serve` is another here."""


def write_page(folder: Path) -> int:
    """Write the page into a new or empty folder. Returns its size in bytes. Raises InputError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("a new or empty folder", f"{folder}, which is none", "name another one")
    built = Path(str(files("facefill"))) / "server" / "page"
    if not (built / "runtime").is_dir():
        raise InputError("the page's runtime", "none in this installation", "build it with: make page")
    weights = {name: find_weights(name) for name in NETWORKS}
    with explained("a folder to write into", folder, "name another one"):
        shutil.copytree(built, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("build.json", "docs*"))
        (folder / "weights").mkdir()
        for path, _ in weights.values():
            shutil.copyfile(path, folder / "weights" / path.name)
        index = folder / "index.html"
        html = index.read_text(encoding="utf-8")
        for before, after in _CHANGES.items():
            if before not in html:
                raise RuntimeError(f"the page holds no {before!r} any more")
            html = html.replace(before, after)
        index.write_text(html, encoding="utf-8")
        _write_contents(folder, {name: (f"weights/{path.name}", sha256) for name, (path, sha256) in weights.items()})
    return sum(path.stat().st_size for path in _files(folder))


def _write_contents(folder: Path, weights: dict[str, tuple[str, str]]) -> None:
    """page.json, which tells the page what to fetch, and the service worker with the hash of everything."""
    needed = [path for path in _files(folder) if path.parent.name in ("runtime", "weights") and path.suffix != ".txt"]
    methods = [row | {"usable": True, "varies": True, "ms": None} for row in describe() if row["name"] == METHOD]
    contents: dict[str, Any] = {
        "methods": methods,
        "files": {path.relative_to(folder).as_posix(): path.stat().st_size for path in needed},
        "weights": {name: {"file": file, "sha256": sha256} for name, (file, sha256) in weights.items()},
    }
    total = hashlib.sha256(json.dumps(contents).encode())
    for path in _files(folder):
        total.update(path.read_bytes())
    version = total.hexdigest()[:16]
    (folder / "page.json").write_text(json.dumps({"version": version} | contents), encoding="utf-8")
    keeper = folder / "sw.js"
    script = keeper.read_text(encoding="utf-8")
    for name, value in (("facefill-VERSION", f"facefill-{version}"), ("facefill-POLICY", POLICY)):
        script, count = re.subn(f"[`\"']{name}[`\"']", json.dumps(value), script)
        if not count:
            raise RuntimeError(f"the service worker holds no {name} any more")
    keeper.write_text(script, encoding="utf-8")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
