"""Writes the tables of the documentation by commands, and says which are older than what they speak of.

    python benchmarks/tables.py write docs/swift.md ablation --of src/facefill/methods/swift.py,swift --by COMMAND
    python benchmarks/tables.py again docs/swift.md [ablation]
    python benchmarks/tables.py check [PAGE ...]

write: runs COMMAND, whose output (a Markdown table; other text goes into a block) is put between two marks, with the
command, the commit, and hashes of what `--of` names: files of the repository, also as a pattern with *, and shipped
weights by their name. again
runs the commands of a page's marks, where their arguments are in the environment (FACES=... for the word FACES, also in
data.folder=FACES). check: lists tables whose code or weights changed since, or that somebody edited; and counts those
that no command wrote. Exit code 1 where one is outdated. `facefill evaluate --results` marks its tables in the same
way.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from facefill.catalog import shipped_weights
from facefill.evaluation.marks import DIGITS, Written, hash_files, put_table, read_tables

ROOT = Path(__file__).parents[1]


def hash_now(name: str) -> str:
    """Hash of a file of the repository (a pattern: of all its files), or of shipped weights; empty for what is not
    there."""
    if weights := shipped_weights().get(name):
        return weights.sha256
    return hash_files(ROOT, name)


def run(words: list[str]) -> str:
    """What a command prints, as Markdown. Words in capitals are taken from the environment, alone or behind a "="."""
    given = [re.sub("(?:^|(?<==))[A-Z][A-Z_]+$", lambda name: os.environ.get(name[0], name[0]), word) for word in words]
    known = {"python": [sys.executable], "facefill": [sys.executable, "-m", "facefill"]}
    given[:1] = known.get(given[0], given[:1])
    text = subprocess.run(given, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return text if "|---" in text else f"```\n{text}\n```"


def commit() -> str:
    return subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def write(page: Path, name: str, command: list[str], of: list[str]) -> None:
    unknown = [one for one in of if not hash_now(one)]
    if unknown:
        raise SystemExit(f"neither files nor shipped weights: {', '.join(unknown)}")
    body = f"`{shlex.join(command)}`\n\n{run(command)}"
    table = Written(name, body, shlex.join(command), commit(), {one: hash_now(one)[:DIGITS] for one in of})
    page.write_text(put_table(page.read_text(encoding="utf-8"), table), encoding="utf-8")


def again(page: Path, names: list[str]) -> None:
    for table in read_tables(page.read_text(encoding="utf-8")):
        if not names or table.name in names:
            write(page, table.name, shlex.split(table.command), list(table.of))


def check(pages: list[Path]) -> int:
    outdated = 0
    for page in pages:
        text = page.read_text(encoding="utf-8")
        tables = read_tables(text)
        for table in tables:
            if reasons := table.outdated(hash_now):
                outdated += 1
                print(f"{page.relative_to(ROOT)} {table.name}: {', '.join(reasons)} since {table.commit}")
        marked = sum(table.body.count("\n|---") + table.body.count("\n| ---") for table in tables)
        others = len(re.findall(r"^\| ?---", text, re.MULTILINE)) - marked
        print(f"{page.relative_to(ROOT)}: {len(tables)} written by commands, {others} by hand")
    return 1 if outdated else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    written = tasks.add_parser("write")
    written.add_argument("page", type=Path)
    written.add_argument("name")
    written.add_argument("--of", default="")
    written.add_argument("--by", required=True, metavar="COMMAND")
    renewed = tasks.add_parser("again")
    renewed.add_argument("page", type=Path)
    renewed.add_argument("names", nargs="*")
    tasks.add_parser("check").add_argument("pages", nargs="*", type=Path)
    given = parser.parse_args()
    if given.task == "write":
        write(given.page, given.name, shlex.split(given.by), [one for one in given.of.split(",") if one])
    elif given.task == "again":
        again(given.page, given.names)
    else:
        every = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "weights").glob("*.md"))]
        sys.exit(check([page.resolve() for page in given.pages] or every))


if __name__ == "__main__":
    main()
