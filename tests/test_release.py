"""A release is called the same wherever it is named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from facefill import __version__

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
