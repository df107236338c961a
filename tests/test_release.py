"""A release is called the same wherever it is named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from facefill import __version__
from tests.test_wheels import PLATFORMS

ROOT = Path(__file__).parents[1]


def test_the_version_stands_in_one_place_and_the_citation_and_the_changes_follow() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert (ROOT / project["tool"]["hatch"]["version"]["path"]).is_file()
    (cited,) = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    (dated,) = re.findall(r"^date-released: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    newest = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    assert cited == __version__
    assert newest == f"{__version__} - {dated}"


def test_the_readme_names_the_python_and_the_systems_that_the_core_is_checked_for() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = {
        "Linux x86-64": "Linux (x86-64",
        "Linux aarch64": "aarch64 with glibc",
        "macOS arm64": "macOS (Apple silicon)",
        "Windows x86-64": "Windows (x86-64)",
    }
    assert project["requires-python"] == ">=3.11"
    assert "It needs Python 3.11 or newer" in readme
    assert set(said) == set(PLATFORMS)
    assert [words for words in said.values() if words not in readme] == []
