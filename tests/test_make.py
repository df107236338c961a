"""What `make` says and does before anything is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from facefill.catalog import METHODS

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The Makefile with a source of its own, everything built."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "src" / "facefill").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "src/facefill/some.py", ".venv-demo/ready"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for path in tmp_path.rglob("*"):
        os.utime(path, (1000, 1000))
    os.utime(tmp_path / ".venv-demo" / "ready", (2000, 2000))
    return tmp_path


def make(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *words], cwd=tree, capture_output=True, text=True, check=False)


def test_the_demo_follows_changed_sources(tree: Path) -> None:
    assert "pip" not in make(tree, "-n", "demo").stdout
    (tree / "src" / "facefill" / "some.py").touch()
    assert "install -c constraints.txt ." in make(tree, "-n", "demo").stdout


def test_every_target_that_is_named_has_a_rule(tree: Path) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split()
    assert [target for target in named if not re.search(rf"^{target}:", text, re.MULTILINE)] == []
    assert "ruff format --check" in make(tree, "-n", "lint").stdout


def test_the_results_have_every_method_and_photos_all_but_the_searches(tree: Path) -> None:
    """Searches take seconds a face, and come to whole photos through no table."""
    said = make(tree, "-n", "results", "DATASET=FACES", "PHOTOS=PHOTOS").stdout.replace("\\\n", " ")
    compared = {
        Path(report).name: {method.partition(":")[0] for method in methods.split(",")}
        for methods, report in re.findall(r"--methods (\S+) .*?--report (\S+)", said)
    }
    searches = {name for name, record in METHODS.items() if record.kind == "torch"}
    assert compared["all-methods"] == set(METHODS)
    assert compared["photos"] == set(METHODS) - searches
    assert compared["searches"] == searches
    assert compared["scratch"] == {"swift"} | {
        name for name, record in METHODS.items() if record.kind == "classical" and not record.package
    }


@pytest.mark.parametrize("target", ["demo", "test"])
def test_an_old_python_is_told_in_one_sentence(tree: Path, target: str) -> None:
    old = tree / "python3.10"
    old.write_text(f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 10, 4)\nexec(sys.argv[2])\n")
    old.chmod(0o755)
    (tree / ".venv-demo" / "ready").unlink()
    done = make(tree, target, f"PYTHON={old}")
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert ours == ["facefill needs Python 3.11 or newer, and this is 3.10: name another, as in make PYTHON=python3.12"]
    assert done.returncode != 0
    assert not (tree / ".venv").exists()


def test_the_demo_shows_every_photo_before_and_after_in_one_sheet(tmp_path: Path) -> None:
    for folder, colour in (("before", "red"), ("after", "blue")):
        (tmp_path / folder).mkdir()
        for name in ("a.jpg", "b.jpg"):
            Image.new("RGB", (64, 64), colour).save(tmp_path / folder / name)
    (tmp_path / "before" / "left.jpg").write_bytes(b"")
    subprocess.run(
        [sys.executable, ROOT / "examples" / "sheet.py", "before", "after", "sheet.png"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    sheet = Image.open(tmp_path / "sheet.png").convert("RGB")
    seen = [sheet.getpixel((x, y)) for y in (200, 600) for x in (200, 600)]
    assert [max(pixel) == pixel[0] for pixel in seen] == [True, True, False, False]
