"""The part of docs/results.md that an evaluation writes: short tables, and what papers print beside them."""

from __future__ import annotations

from facefill.errors import InputError
from facefill.evaluation.bench import Bench
from facefill.evaluation.protocols import PAPERS
from facefill.evaluation.summary import Summary, paper_tables
from facefill.evaluation.tables import HONEST, Table, interval, markdown_table, paper_table, printed_table, says

BEGIN = "<!-- evaluate: begin; written by `facefill evaluate --results`, edit outside -->"
END = "<!-- evaluate: end -->"
SHOWN = ("psnr", "hole_psnr", "ssim", "sharpness", "seam")
BESIDE = ("lpips", "frechet", "cosine", "accepted")

NOT_COMPARABLE = """\
What may be compared: rows of one table here, all on the same faces and holes, by the definitions below.

What may not, or only roughly:
- The papers' faces are others than these: CelebA-HQ, or all of CelebA, cut and aligned otherwise. A centre hole hides
  more of a face that fills more of the picture.
- "50 %" with the centre square is half of the side, a quarter of the pixels; irregular holes of 50 % are half of the
  pixels, but known pixels are nearer.
- No paper states the window or colour of its SSIM; the tables by definition show how far that alone moves a number.
- Whether known pixels are pasted back, and whether values are rounded to 8 bits first, is rarely stated; here both are.
- Completions chosen as the best of several with the truth in hand are not comparable with one completion.
"""


def section(bench: Bench, summary: Summary) -> str:
    """The text between the marks."""
    about = summary.about
    parts = [BEGIN, "", "## Methods on frozen holes", "", f"`{about['command']}`", "",
             f"facefill {about['version']}, commit {about['commit'] or 'unknown'}; {about['libraries']}. Intervals: "
             f"95 %, {about['intervals']}.", ""]
    for dataset in bench.datasets:
        info = about["datasets"][dataset.name]
        holes = ", ".join(f"{name} {digest[:12]}" for name, digest in info["holes"].items())
        parts += [f"### {dataset.name}", "", f"n = {info['n']} faces, SHA-256 {info['sha256'][:16]}.", "",
                  markdown_table(_table(bench, summary, dataset.name)), f"Holes, SHA-256: {holes}.", ""]
    chosen = bench.papers or {}
    for paper in paper_tables(bench, summary):
        parts += [f"### By the definitions of: {paper['title']}", "", says(paper), "",
                  markdown_table(paper_table(paper))]
        if paper["printed"]:
            parts += ["What the paper prints:", "", markdown_table(printed_table(paper))]
    missing = [paper.title for name, paper in PAPERS.items() if name not in chosen]
    if missing:
        parts += [f"Not asked for: {', '.join(missing)}.", ""]
    parts += ["### Comparing with papers", "", NOT_COMPARABLE, "### Definitions", "",
              *(f"- **{metric.title}**: {metric.definition}." for metric in summary.metrics), "", HONEST, "", END]
    return "\n".join(parts) + "\n"


def with_section(text: str, new: str) -> str:
    """A page with its section exchanged, or added at the end.

    Raises InputError for a page with one mark only.
    """
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 and end < 0:
        return text.rstrip("\n") + "\n\n" + new
    if begin < 0 or end < begin:
        raise InputError("both marks of the section, in order", "one of them", f"restore {BEGIN} and {END}")
    return text[:begin] + new.rstrip("\n") + text[end + len(END) :]


def _table(bench: Bench, summary: Summary, dataset: str) -> Table:
    """A line per protocol and method."""
    metrics = [metric for metric in summary.metrics if metric.name in SHOWN or metric.name.startswith(BESIDE)]
    metrics = [metric for metric in metrics if any(row.metric == metric.name for row in summary.rows)]
    lines = []
    for protocol in bench.protocols:
        for entry in bench.entries:
            rows = [summary.find(dataset, protocol.name, entry.label, metric.name) for metric in metrics]
            n = max((row.n + row.identical for row in rows if row), default=0)
            values = (interval(row, metric.digits) for row, metric in zip(rows, metrics, strict=True))
            lines.append([protocol.name, entry.label, str(n), *values])
    return ["holes", "method", "n", *(metric.title for metric in metrics)], lines
