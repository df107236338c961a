"""What an evaluation writes as text: report.json, .csv and .md, and short tables for a page; the same for the same
values, to the byte."""

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from facefill.catalog import Record, shipped_weights
from facefill.evaluation.aggregate import Metric, PaperLine, ReportRow, Summary, paper_lines
from facefill.evaluation.benchmark import COVERED, TRUTH, Bench
from facefill.evaluation.marks import DIGITS, hash_files
from facefill.evaluation.protocols import VARIANTS, Paper
from facefill.files.whole import write_whole
from facefill.runtime.helpers import HELPERS

HONEST = (
    "What was hidden is invented in every completion; identity figures say how much of a person is left to see, "
    "and are no evidence of who somebody is."
)
DECIDES = {
    "": (
        *("evaluation/protocols.py", "imaging/metrics.py", "imaging/masks.py", "imaging/crop.py", "imaging/blend.py"),
        *("imaging/biharmonic.py", "imaging/detail.py", "runtime/plan.py", "runtime/draw.py"),
    ),
    "drawn covers": ("covers/*.py",),
    "found covers": ("runtime/cover.py",),
    "photos": ("evaluation/photos.py", "runtime/finder.py", "runtime/second_look.py"),
    "rules": ("imaging/classical.py",),
}
"""Code of which a figure is older once it changed, by what takes part, "" always; a method's own: `_code_of`."""
SHOWN = ("psnr", "hole_psnr", "ssim", "sharpness", "seam")
BESIDE = ("lpips", "cosine", "accepted")
TRAINED = "of the paper's training"
Table = tuple[list[str], list[list[str]]]
"""Headings, and lines of cells."""


def write_report(bench: Bench, summary: Summary) -> None:
    """Write report.json, report.csv and report.md into the settings' folder, each whole or not at all."""
    folder = bench.settings.report
    texts = {"json": _as_json(bench, summary), "csv": _as_csv(summary), "md": as_markdown(bench, summary)}
    for name, text in texts.items():
        write_whole(folder / f"report.{name}", text.encode())


def _as_json(bench: Bench, summary: Summary) -> str:
    papers = [
        {"name": name, **asdict(paper), "lines": [asdict(line) for line in paper_lines(bench, summary, paper)]}
        for name, paper in bench.papers.items()
    ]
    whole = {
        **summary.about,
        "metrics": [asdict(metric) for metric in summary.metrics],
        "rows": [asdict(row) for row in summary.rows],
        "differences": [asdict(difference) for difference in summary.differences],
        "papers": papers,
        "cases": summary.cases,
    }
    return json.dumps(_plain(whole), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """JSON has neither nan nor inf: null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _as_csv(summary: Summary) -> str:
    """One line per estimate; `versus` names the method that was subtracted."""
    names = [field.name for field in fields(ReportRow)]
    differences = ({"method": one.first, "versus": one.second} | asdict(one) for one in summary.differences)
    text = io.StringIO()
    names.insert(6, "versus")
    writer = csv.DictWriter(text, names, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_plain, [*map(asdict, summary.rows), *differences]))
    return text.getvalue()


def as_markdown(bench: Bench, summary: Summary) -> str:
    parts = ["# Evaluation\n", f"`{summary.about['command']}`\n", *(f"- {fact}" for fact in facts_of(summary)), ""]
    for dataset in bench.datasets:
        for protocol in bench.protocols:
            place = dataset.name, protocol.name
            parts += [f"## {dataset.name}, {protocol.name}\n", markdown_table(method_table(bench, summary, *place))]
            for title, table in further_tables(bench, summary, *place):
                parts += [f"### {title}: {dataset.name}, {protocol.name}\n", markdown_table(table)]
    for paper in bench.papers.values():
        values = markdown_table(paper_table(paper_lines(bench, summary, paper)))
        parts += [f"## By the definitions of: {paper.title}\n", f"{says(paper)}\n", values]
        if paper.printed:
            parts += ["What the paper prints:", "", markdown_table(printed_table(paper))]
    parts += ["## Definitions\n", *(f"- **{title}**: {text}." for title, text in definitions(summary)), "", HONEST]
    return "\n".join(parts) + "\n"


# --- Tables -------------------------------------------------------------------------------------


def number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def interval(row: ReportRow | None, digits: int) -> str:
    if row is None or not math.isfinite(row.value):
        return "–"
    ends = f" [{row.low:.{digits}f}, {row.high:.{digits}f}]" if math.isfinite(row.low) else ""
    return f"{row.value:.{digits}f}{ends}"


def heading(metric: Metric) -> str:
    """A metric as the head of a column: its unit, and where better values lie."""
    arrow = {"higher": "↑", "lower": "↓", "nearer 1": "→ 1"}[metric.better]
    return f"{metric.title}{f' [{metric.unit}]' if metric.unit else ''} {arrow}"


def shown_metrics(summary: Summary, dataset: str, protocol: str = "") -> list[Metric]:
    """Metrics with a value for some method there; without a protocol, on any."""
    there = {
        row.metric
        for row in summary.rows
        if row.dataset == dataset and row.protocol in (protocol or row.protocol) and math.isfinite(row.value)
    }
    return [metric for metric in summary.metrics if metric.name in there]


def _measured(
    summary: Summary, metrics: Sequence[Metric], place: tuple[str, str, str], kind: str = "", group: str = ""
) -> list[str]:
    """n and every metric with its interval. place: dataset, protocol, method."""
    rows = [summary.find(*place, metric.name, kind, group) for metric in metrics]
    n = max((row.n + row.identical for row in rows if row), default=0)
    return [str(n), *(interval(row, metric.digits) for row, metric in zip(rows, metrics, strict=True))]


def method_table(bench: Bench, summary: Summary, dataset: str, protocol: str) -> Table:
    """A line per method: n, how many came back identical, every metric with its interval."""
    metrics = shown_metrics(summary, dataset, protocol)
    lines = []
    for label in [*(entry.label for entry in bench.entries), COVERED, TRUTH]:
        rows = [summary.find(dataset, protocol, label, metric.name) for metric in metrics]
        if any(rows):
            n, *values = _measured(summary, metrics, (dataset, protocol, label))
            identical = max(row.identical for row in rows if row)
            lines.append([label, trained(bench, label), n, str(identical), *values])
    return ["method", TRAINED, "n", "identical", *map(heading, metrics)], lines


def further_tables(bench: Bench, summary: Summary, dataset: str, protocol: str) -> list[tuple[str, Table]]:
    """Titles and tables below that of the methods, as far as they have lines."""
    differences, groups = difference_table(summary, dataset, protocol), group_table(bench, summary, dataset, protocol)
    return [(title, table) for title, table in (("Differences", differences), ("Groups", groups)) if table[1]]


def difference_table(summary: Summary, dataset: str, protocol: str) -> Table:
    """A line per pair of methods and metric; report.csv has those of the other metrics too."""
    titles = {metric.name: metric for metric in summary.metrics}
    lines = []
    for one in summary.differences:
        metric = titles[one.metric]
        if metric.compared and (one.dataset, one.protocol) == (dataset, protocol) and math.isfinite(one.value):
            digits = metric.digits + 1
            sure = math.isfinite(one.low) and (one.low > 0 or one.high < 0)
            ends = f"[{number(one.low, digits)}, {number(one.high, digits)}]"
            pair, value = f"{one.first} − {one.second}", f"{one.value:+.{digits}f}"
            lines.append([pair, metric.title, str(one.n), value, ends, "yes" if sure else "no"])
    return ["methods", "metric", "n", "difference", "95 % interval", "0 outside"], lines


def group_table(bench: Bench, summary: Summary, dataset: str, protocol: str) -> Table:
    metrics = [metric for metric in shown_metrics(summary, dataset, protocol) if metric.grouped]
    order = {entry.label: place for place, entry in enumerate(bench.entries)}
    rows = [row for row in summary.rows if (row.dataset, row.protocol) == (dataset, protocol) and row.kind]
    keys = {(row.kind, row.group, row.method) for row in rows}
    lines = [
        [kind, group, label, *_measured(summary, metrics, (dataset, protocol, label), kind, group)]
        for kind, group, label in sorted(keys, key=lambda key: (*key[:2], order.get(key[2], len(order))))
    ]
    return ["kind", "group", "method", "n", *map(heading, metrics)], lines


def trained(bench: Bench, label: str) -> str:
    """The share of its paper's training that a method has had; below a half it is a short-budget variant of it."""
    sha256 = next((entry.model.sha256 for entry in bench.entries if entry.label == label), None)
    shares = [weights.paper_share for weights in shipped_weights().values() if weights.sha256 == sha256]
    if not shares or shares[0] is None:
        return "–"
    return f"{100 * shares[0]:.2g} %{', short-budget' if shares[0] < 0.5 else ''}"


def paper_table(lines: Sequence[PaperLine]) -> Table:
    names, cells = [variant.name for variant in VARIANTS], []
    for line in lines:
        values = [f"{number(line.values[name][0], 2)} / {number(line.values[name][1], 3)}" for name in names]
        cells.append([line.dataset, line.protocol, line.method, str(line.n), *values])
    return ["dataset", "protocol", "method", "n", *names], cells


def printed_table(paper: Paper) -> Table:
    lines = [[one.method, one.hole, f"{one.psnr:g}", f"{one.ssim:g}", one.comparable] for one in paper.printed]
    return ["method", "holes", "PSNR", "SSIM", "comparable"], lines


def says(paper: Paper) -> str:
    return (
        f"Holes here: {', '.join(paper.holes)}. The paper: size {paper.size}; data {paper.data}; n {paper.n}; "
        f"colour {paper.colour}; values {paper.values}; SSIM's window {paper.window}. Here: values 0 to 255, "
        f"PSNR in dB / SSIM.{f' {paper.remark}' if paper.remark else ''}"
    )


def markdown_table(table: Table) -> str:
    """A table of a page, with an empty line after it."""
    head, lines = table
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def facts_of(summary: Summary) -> list[str]:
    """What was judged on what, a fact each; those of a dataset's holes follow it."""
    about = summary.about
    facts = [f"facefill {about['version']}, commit {about['commit'] or 'unknown'}; {about['libraries']}"]
    for name, dataset in about["datasets"].items():
        shrunk = f" (of up to {dataset['largest_px']}, shrunk)" if dataset["largest_px"] > dataset["side_px"] else ""
        facts.append(
            f"dataset {name}: n = {dataset['n']} of {dataset['people']} people, {dataset['side_px']} px"
            f"{shrunk}, SHA-256 {dataset['sha256'][:16]}"
        )
        facts += [f"holes {protocol} of {name}: SHA-256 {digest[:16]}" for protocol, digest in dataset["holes"].items()]
    for name, method in about["methods"].items():
        digest = f"weights {method['sha256'][:16]}" if method["sha256"] else "no weights"
        limit = f", the first {method['limit']} faces" if method["limit"] else ""
        facts.append(f"method {name}: {digest}{limit}")
    return facts


def definitions(summary: Summary) -> list[tuple[str, str]]:
    found = [(metric.title, metric.definition) for metric in summary.metrics]
    return [*found, ("Intervals", f"95 %, {summary.about['intervals']}")]


# --- A table of a page --------------------------------------------------------------------------


def short_tables(bench: Bench, summary: Summary) -> str:
    """What goes into a page: for each dataset what it is, a line per protocol and method, and the holes' hashes."""
    about = summary.about
    parts = [
        f"`{about['command']}`",
        "",
        f"facefill {about['version']}, commit {about['commit'] or 'unknown'}; "
        f"{about['libraries']}. In brackets 95 % intervals, {about['intervals']}.",
        "",
    ]
    for dataset in bench.datasets:
        there = shown_metrics(summary, dataset.name)
        metrics = [metric for metric in there if metric.name in SHOWN or metric.name.startswith(BESIDE)]
        lines = [
            [place.name, label, trained(bench, label), *_measured(summary, metrics, (dataset.name, place.name, label))]
            for place in bench.protocols
            for label in [entry.label for entry in bench.entries]
        ]
        info = about["datasets"][dataset.name]
        holes = ", ".join(f"{name} {digest[:12]}" for name, digest in info["holes"].items())
        parts += [
            f"**{dataset.name}**: {info['n']} faces of {info['people']} people, SHA-256 {info['sha256'][:16]}; "
            f"holes, SHA-256: {holes}.",
            "",
            markdown_table((["holes", "method", TRAINED, "n", *map(heading, metrics)], lines)),
        ]
    note = "Distances of sets, differences and groups are in the report."
    return "\n".join([*parts, f"{note} {HONEST}"])


def speaks_of(bench: Bench) -> dict[str, str]:
    """Weights and code that decide what a page shows, with the first digits of their hashes."""
    names = {weights.sha256: name for name, weights in shipped_weights().items()}
    models = ((entry.label, entry.model.sha256) for entry in bench.entries if entry.model.sha256)
    shipped = {names.get(sha256, label): sha256 for label, sha256 in models}
    house = Path(__file__).parents[1]
    takes_part = {
        "": True,
        "drawn covers": any(protocol.covers for protocol in bench.protocols),
        "found covers": any(protocol.hole in ("worn-auto", "photo-worn") for protocol in bench.protocols),
        "photos": any(protocol.whole for protocol in bench.protocols),
        "rules": any(entry.model.record.kind == "classical" for entry in bench.entries),
    }
    if takes_part["photos"]:
        shipped |= {name: shipped_weights()[name].sha256 for name in HELPERS}
    elif takes_part["found covers"]:
        shipped["cover"] = shipped_weights()["cover"].sha256
    files = [name for what, patterns in DECIDES.items() if takes_part[what] for name in patterns]
    files += [name for entry in bench.entries for name in _code_of(house, entry.model.record)]
    code = {f"src/facefill/{name}": hash_files(house, name) for name in dict.fromkeys(files)}
    return {name: digest[:DIGITS] for name, digest in {**shipped, **code}.items()}


def _code_of(house: Path, record: Record) -> list[str]:
    """The module of a method that is a network, and what of nets/ it is made of."""
    found: list[str] = []
    wanted = [f"methods/{record.weights or record.name}.py"]
    while wanted:
        name = wanted.pop(0)
        if name not in found and (house / name).is_file():
            found.append(name)
            text = (house / name).read_text(encoding="utf-8")
            wanted += [
                f"nets/{net}.py" for net in re.findall(r"^from facefill\.nets\.(\w+) import", text, re.MULTILINE)
            ]
    return found
