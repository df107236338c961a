"""What the pages say can be followed: links lead somewhere, commands and their options exist, named files are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from facefill.commands.cli import app
from facefill.evaluation.marks import Written, put_table, read_tables

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "weights").glob("*.md"))]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def code_in(text: str) -> Iterator[str]:
    """Commands of fenced blocks, one for each line, lines that go on joined, without comments; and inline code."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for block in fenced:
        yield from (line.partition(" #")[0] for line in re.sub(r"\\\n\s*", " ", block).splitlines())
    outside = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", outside))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and GitLab make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(page: Path) -> list[str]:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


def unknown_words(text: str) -> list[str]:
    """Commands that do not exist, and options that their commands do not have."""
    unknown = []
    for code in code_in(text):
        for name, rest in re.findall(r"\bfacefill ([a-z]+)\b([^|;&]*)", code):
            if name not in COMMANDS:
                unknown.append(f"facefill {name}")
                continue
            known = {option for param in COMMANDS[name].params for option in (*param.opts, *param.secondary_opts)}
            given = re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest)
            unknown += [f"facefill {name} {option}" for option in given if option not in known]
    return unknown


def missing_files(text: str) -> list[str]:
    """Files of the project that are named in code and are not there."""
    rooms = r"\b(?:benchmarks|configs|docs|examples|src|tests|weights|web)/[\w/.-]*\.(?:py|toml|md|safetensors)\b"
    return [name for code in code_in(text) for name in re.findall(rooms, code) if not (ROOT / name).is_file()]


def quality_tables_by_hand(text: str) -> list[str]:
    """Headers of tables of measured quality that no command wrote: those outside the marks."""
    outside = re.sub(r"^<!-- table ([\w-]+): \{.*?^<!-- table \1: end -->", "", text, flags=re.DOTALL | re.MULTILINE)
    headers = re.findall(r"^ *(\|?.*\|.*)\n *\|?[ :]*-[-:| ]*$", outside, re.MULTILINE)
    words = re.compile(r"PSNR|SSIM|sharpness|Fréchet|\bdB\b", re.IGNORECASE)
    return [header for header in headers if words.search(header) and header != "| metric | definition |"]


@pages
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


@pages
def test_commands_and_their_options_exist(page: Path) -> None:
    assert unknown_words(page.read_text(encoding="utf-8")) == []


@pages
def test_named_files_of_the_project_are_there(page: Path) -> None:
    assert missing_files(page.read_text(encoding="utf-8")) == []


@pages
def test_tables_that_commands_wrote_are_as_they_wrote_them(page: Path) -> None:
    edited = [
        table.name
        for table in read_tables(page.read_text(encoding="utf-8"))
        if "edited by hand" in table.outdated(lambda name: "")
    ]
    assert edited == []


def test_the_results_fit_on_a_page_that_somebody_reads() -> None:
    assert len((ROOT / "docs" / "results.md").read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_commands_write_the_tables_of_measured_quality(page: Path) -> None:
    assert quality_tables_by_hand(page.read_text(encoding="utf-8")) == []


def test_a_table_of_quality_outside_the_marks_is_seen() -> None:
    headers = ["| run | hole PSNR |", "| a | Sharpness → 1 |", "run | MS-SSIM", "| x | Fréchet |", "| x | lost, dB |"]
    by_hand = "\n\n".join(f"{header}\n| --- | :---: |\n| 1 | 2 |" for header in headers)
    written = put_table("", Written("t", by_hand, "facefill methods", "abc", {}))
    fine = "| metric | definition |\n|---|---|\n| PSNR | a |\n\nPSNR | SSIM in a sentence\n\n| ms |\n|---|\n| 1 |\n"
    assert quality_tables_by_hand(written + fine) == []
    assert quality_tables_by_hand(f"{by_hand}\n\n{written}\n{by_hand}\n") == headers * 2


def test_what_is_wrong_on_a_page_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n[a](#one) [b](#two) [c](gone.md) [d](page.md#one)\n"
        "`facefill unmsk` `facefill wear\nA --sed 1`\n"
        "```sh\nfacefill train C \\\n   --set a=1 --sett b=2  # --no\n```\n`benchmarks/gone.py`\n"
    )
    text = page.read_text()
    assert dead_links(page) == ["#two", "gone.md"]
    assert sorted(unknown_words(text)) == ["facefill train --sett", "facefill unmsk", "facefill wear --sed"]
    assert missing_files(text) == ["benchmarks/gone.py"]


def test_the_tree_of_the_readme_names_every_module_and_no_other() -> None:
    readme, source = (ROOT / "README.md").read_text(encoding="utf-8"), ROOT / "src" / "facefill"
    house = re.search(r"^src/facefill/\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert house is not None
    assert set(re.findall(r"\b(\w+)\.py", house[1].partition("  imaging/")[0])) == modules_of(source)
    for room in (folder for folder in source.iterdir() if modules_of(folder)):
        listed = re.search(rf"^  {room.name}/(.*?)(?=^  \w)", house[1], re.DOTALL | re.MULTILINE)
        assert listed is not None, room.name
        words = re.sub(r"\([^)]*\)", "", listed[1]).rpartition(":")[2]
        assert {name.strip() for name in re.split(r",| and ", words)} == modules_of(room)


def modules_of(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}


def test_the_figures_of_the_readme_are_those_of_the_results() -> None:
    readme, results = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/results.md"))
    rows = re.findall(r"^\| `([\w@-]+)`: [^|]*( \| \d+) \| ([^|]+) \| ([^|]+) \|$", readme, re.MULTILINE)
    assert len(rows) == 6
    for holes, n, *values in rows:
        measured = rf"^\| {holes} \| swift \| [^|]*{re.escape(n)} \| {re.escape(' | '.join(values))} \|"
        assert re.search(measured, results, re.MULTILINE), f"{holes} in docs/results.md is not {values}"
