"""Tables in a page that a command wrote: they stand between marks that say by which command, at which commit, and of
what code and weights, so that a table that is older than these can be told."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from facefill.catalog import file_hash
from facefill.errors import InputError

OPEN, CLOSE = "<!-- table {}: ", "<!-- table {}: end -->"
_WHOLE = re.compile(r"<!-- table ([\w-]+): (\{.*?\}) -->\n(.*?)<!-- table \1: end -->", re.DOTALL)
DIGITS = 12
"""How many digits of a hash a mark shows."""


@dataclass(frozen=True)
class Written:
    name: str
    body: str
    command: str
    """What makes it again, without paths of a machine."""
    commit: str
    of: Mapping[str, str]
    """What it speaks of, files by their path in the repository (or a pattern with *) and shipped weights by their name,
    and their hashes."""
    sha256: str = ""
    """Hash of the body as it was written; empty before that."""

    def outdated(self, hash_now: Callable[[str], str]) -> list[str]:
        """Why it may not be what its command gives today, one reason each. hash_now: of a file, or of weights."""
        found = [f"{name} changed" for name, before in self.of.items() if hash_now(name)[:DIGITS] != before]
        return found + ([] if hash_text(self.body) == self.sha256 else ["edited by hand"])


def hash_text(text: str) -> str:
    """The first digits of its SHA-256, without empty lines around it."""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:DIGITS]


def hash_files(folder: Path, pattern: str) -> str:
    """SHA-256 of a file below a folder, hexadecimal; of a pattern with * that of its files' names and hashes; empty
    where there is none."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file())
    if "*" not in pattern or not files:
        return file_hash(files[0]) if files else ""
    return hashlib.sha256("".join(f"{file.name} {file_hash(file)}\n" for file in files).encode()).hexdigest()


def read_tables(page: str) -> list[Written]:
    """The tables of a page that commands wrote, in order. Raises InputError for one mark without the other."""
    found = [Written(name, body.strip(), **json.loads(facts)) for name, facts, body in _WHOLE.findall(page)]
    marks = re.findall(r"<!-- table ([\w-]+): ", page)
    for name in dict.fromkeys(marks):
        if marks.count(name) != 2 or name not in {table.name for table in found}:
            raise InputError(f"both marks of the table {name}, in order", "others", "restore them, or remove both")
    return found


def put_table(page: str, table: Written) -> str:
    """The page with the table of that name exchanged, or added at its end; what stands outside its marks is kept.

    Raises InputError for a page with one of its marks only.
    """
    there = {one.name for one in read_tables(page)}
    facts = {key: value for key, value in asdict(table).items() if key not in ("name", "body")}
    said = json.dumps(facts | {"sha256": hash_text(table.body)}, ensure_ascii=False)
    whole = f"{OPEN.format(table.name)}{said} -->\n\n{table.body.strip()}\n\n{CLOSE.format(table.name)}"
    if table.name not in there:
        return f"{page.rstrip()}\n\n{whole}\n"
    return _WHOLE.sub(lambda found: whole if found[1] == table.name else found[0], page)
