"""Draws docs/house.svg: the rooms of src/facefill in their layers, and arrows to the rooms that each imports.
Counts their lines of Python into a table in docs/index.md.

python docs/make_house.py        # after a change of the rooms; tests/test_house.py says when it is needed
"""

from __future__ import annotations

import ast
import re
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "facefill"
PICTURE, PAGE = ROOT / "docs" / "house.svg", ROOT / "docs" / "index.md"
LAYERS = (
    ("commands",),
    ("batch", "server", "video"),
    ("training", "evaluation"),
    ("datasets",),
    ("runtime",),
    ("methods", "files", "covers"),
    ("nets", "imaging"),
    ("catalog", "config", "arrays", "choices", "errors", "offline", "threads"),
)
"""Rooms from the top of the house to its foundation; those of one row share a layer."""
SAYS = {
    "commands": "the command line", "batch": "folders, buckets, clusters", "server": "REST and the page",
    "video": "films, frame after frame",
    "training": "the one loop, recipes, export", "evaluation": "protocols, metrics, reports",
    "datasets": "manifests, shards, prepare", "runtime": "a photo's way, without torch",
    "methods": "one paper, one file", "files": "formats and what is kept", "covers": "draws masks, glasses, hands",
    "nets": "tensors", "imaging": "arrays", "catalog": "every method and file", "config": "settings",
    "errors": "what the user can fix", "arrays": "the few array types", "choices": "did you mean",
    "offline": "nothing leaves", "threads": "safe from any",
}  # fmt: skip
BEGIN, END = "<!-- lines -->", "<!-- lines: end -->"
"""What the table of lines stands between."""
WIDE, HIGH, GAP_X, GAP_Y, MARGIN = 200, 46, 40, 44, 20


def rooms_imported(source: Path = SOURCE) -> dict[str, set[str]]:
    """The rooms that each room imports, also inside functions, from the code itself."""
    arrows: dict[str, set[str]] = {}
    for path in sorted(source.rglob("*.py")):
        room = path.relative_to(source).parts[0].removesuffix(".py")
        if room.startswith("__"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom) and node.module == "facefill":
                names = [f"facefill.{alias.name}" for alias in node.names]
            for name in names:
                parts = (name or "").split(".")
                if parts[0] == "facefill" and len(parts) > 1 and parts[1] not in (room, "__version__"):
                    arrows.setdefault(room, set()).add(parts[1])
    return arrows


def direct(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without the arrows that a longer way says already: of A to B to C and A to C, the last goes."""

    def reached(room: str) -> set[str]:
        return {end for other in arrows.get(room, ()) for end in {other, *reached(other)}}

    return {
        room: {other for other in others if not any(other in reached(way) for way in others - {other})}
        for room, others in arrows.items()
    }


def draw(arrows: dict[str, set[str]]) -> str:
    """The picture as SVG text: direct arrows, but for those to `errors`, `config` and `catalog`, which all import."""
    widest = max(map(len, LAYERS))
    width = 2 * MARGIN + widest * WIDE + (widest - 1) * GAP_X
    height = 2 * MARGIN + len(LAYERS) * HIGH + (len(LAYERS) - 1) * GAP_Y
    place: dict[str, tuple[float, float]] = {}
    for row, rooms in enumerate(LAYERS):
        left = (width - len(rooms) * WIDE - (len(rooms) - 1) * GAP_X) / 2
        for column, room in enumerate(rooms):
            place[room] = (left + column * (WIDE + GAP_X), MARGIN + row * (HIGH + GAP_Y))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#8a94a6"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for room in place:
        for other in sorted(arrows.get(room, ())):
            if other in LAYERS[-1] or other not in place:
                continue
            (x1, y1), (x2, y2) = place[room], place[other]
            x1, x2 = x1 + WIDE / 2 + (x2 - x1) / 8, x2 + WIDE / 2 - (x2 - x1) / 8
            y1 = y1 + HIGH if y2 > y1 else y1 + HIGH / 2
            lines.append(
                f'<path data-arrow="{room}-{other}" d="M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}" stroke="#b4bccb" '
                'stroke-width="1.2" marker-end="url(#tip)"/>'
            )
    for room, (x, y) in place.items():
        lines += [
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{WIDE}" height="{HIGH}" rx="8" fill="#eef3fb" stroke="#4a6fa5"/>',
            f'<text x="{x + WIDE / 2:.0f}" y="{y + 20:.0f}" text-anchor="middle" font-size="15" font-weight="bold" '
            f'fill="#1d2b44">{escape(room)}</text>',
            f'<text x="{x + WIDE / 2:.0f}" y="{y + 37:.0f}" text-anchor="middle" font-size="12" fill="#46536b">'
            f"{escape(SAYS[room])}</text>",
        ]
    return "\n".join([*lines, "</svg>", ""])


def count_lines(source: Path = SOURCE) -> dict[str, int]:
    """Lines of Python in each room; the single files of the foundation are a row together."""
    counts: dict[str, int] = {}
    for path in sorted(source.rglob("*.py")):
        room = path.parent.name if path.parent != source else "foundation"
        counts[room] = counts.get(room, 0) + len(path.read_text(encoding="utf-8").splitlines())
    return counts


def tabulate(counts: dict[str, int]) -> str:
    """The table of docs/index.md, from the top of the house down, to tens of lines."""
    rooms = [room for rooms in LAYERS for room in rooms if room in counts]
    rows = [(room, SAYS[room], counts[room]) for room in rooms]
    rows += [("foundation", "single files", counts["foundation"]), ("all", "", sum(counts.values()))]
    return "\n".join(
        [
            "| room | what it is | lines |",
            "| --- | --- | ---: |",
            *(f"| {a} | {b} | {round(n, -1)} |" for a, b, n in rows),
        ]
    )


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    marked = rf"\g<1>{tabulate(count_lines())}\n\g<2>"
    PAGE.write_text(re.sub(rf"({BEGIN}\n).*?({END})", marked, page, flags=re.DOTALL), encoding="utf-8")
    PICTURE.write_text(draw(direct(rooms_imported())), encoding="utf-8")
