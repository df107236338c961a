"""What an evaluation writes: report.json, .csv, .md and .html; the same for the same values, to the byte."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from facefill.evaluation.bench import COVERED, TRUTH, Bench
from facefill.evaluation.benchmark import complete_case
from facefill.evaluation.figures import data_uri, grid, plot_intervals
from facefill.evaluation.protocols import VARIANTS
from facefill.evaluation.summary import Metric, Row, Summary, paper_tables

PLOTTED = ("psnr", "hole_psnr", "ssim", "sharpness")
HONEST = "What was hidden is invented in every completion; identity figures say how much of a person is left to see, " \
    "and are no evidence of who somebody is."


def write_report(bench: Bench, summary: Summary) -> list[Path]:
    """Write the four reports into the settings' folder, each whole or not at all."""
    papers = paper_tables(bench, summary)
    texts = {
        "report.json": _as_json(summary, papers),
        "report.csv": _as_csv(summary),
        "report.md": as_markdown(bench, summary, papers),
        "report.html": _as_html(bench, summary, papers),
    }
    paths = []
    for name, text in texts.items():
        path = bench.settings.report / name
        write_whole(path, text)
        paths.append(path)
    return paths


def write_whole(path: Path, text: str) -> None:
    """Write beside, then rename."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def _as_json(summary: Summary, papers: list[dict[str, Any]]) -> str:
    whole = {
        **summary.about, "metrics": [asdict(metric) for metric in summary.metrics],
        "rows": [asdict(row) for row in summary.rows],
        "differences": [asdict(difference) for difference in summary.differences],
        "papers": papers, "cases": summary.cases,
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
    names = [field.name for field in fields(Row)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names[:6], "versus", *names[6:]])
    for row in summary.rows:
        values = [_cell(value) for value in asdict(row).values()]
        writer.writerow([*values[:6], "", *values[6:]])
    for one in summary.differences:
        writer.writerow([one.dataset, one.protocol, one.first, one.metric, "", "", one.second, one.n, "",
                         _cell(one.value), _cell(one.low), _cell(one.high)])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return repr(value) if math.isfinite(value) else ""


# --- Tables, for both pages ---------------------------------------------------------------------

Table = tuple[list[str], list[list[str]]]


def number(value: float, digits: int) -> str:
    """A value as tables show it."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def interval(row: Row | None, digits: int) -> str:
    """A value and its interval."""
    if row is None or not math.isfinite(row.value):
        return "–"
    ends = f" [{row.low:.{digits}f}, {row.high:.{digits}f}]" if math.isfinite(row.low) else ""
    return f"{row.value:.{digits}f}{ends}"


def shown_metrics(summary: Summary, dataset: str, protocol: str) -> list[Metric]:
    """Metrics with a value for some method there."""
    there = {row.metric for row in summary.rows
             if row.dataset == dataset and row.protocol == protocol and math.isfinite(row.value)}
    return [metric for metric in summary.metrics if metric.name in there]


def method_table(bench: Bench, summary: Summary, dataset: str, protocol: str) -> Table:
    """A line per method: n, how many came back identical, every metric with its interval."""
    metrics = shown_metrics(summary, dataset, protocol)
    lines = []
    for label in [*(entry.label for entry in bench.entries), COVERED, TRUTH]:
        rows = [summary.find(dataset, protocol, label, metric.name) for metric in metrics]
        if any(rows):
            n = max(row.n + row.identical for row in rows if row)
            identical = max(row.identical for row in rows if row)
            values = (interval(row, metric.digits) for row, metric in zip(rows, metrics, strict=True))
            lines.append([label, str(n), str(identical), *values])
    return ["method", "n", "identical", *(_heading(metric) for metric in metrics)], lines


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
            lines.append([f"{one.first} − {one.second}", metric.title, str(one.n), f"{one.value:+.{digits}f}", ends,
                          "yes" if sure else "no"])
    return ["methods", "metric", "n", "difference", "95 % interval", "0 outside"], lines


def group_table(bench: Bench, summary: Summary, dataset: str, protocol: str) -> Table:
    """A line per group and method."""
    metrics = [metric for metric in shown_metrics(summary, dataset, protocol) if metric.grouped]
    rows = [row for row in summary.rows if (row.dataset, row.protocol) == (dataset, protocol) and row.kind]
    lines = []
    for kind, group, label in sorted({(row.kind, row.group, row.method) for row in rows}, key=lambda key: (
        key[0], key[1], [entry.label for entry in bench.entries].index(key[2]) if _is_method(bench, key[2]) else 99
    )):
        found = [summary.find(dataset, protocol, label, metric.name, kind, group) for metric in metrics]
        n = max(row.n + row.identical for row in found if row)
        values = (interval(row, metric.digits) for row, metric in zip(found, metrics, strict=True))
        lines.append([kind, group, label, str(n), *values])
    return ["kind", "group", "method", "n", *(_heading(metric) for metric in metrics)], lines


def paper_table(paper: dict[str, Any]) -> Table:
    """The same completions by every definition."""
    names = [variant.name for variant in VARIANTS]
    lines = [
        [line["dataset"], line["protocol"], line["method"], str(line["n"]),
         *(f"{number(line[name][0], 2)} / {number(line[name][1], 3)}" for name in names)]
        for line in paper["lines"]
    ]
    return ["dataset", "protocol", "method", "n", *names], lines


def printed_table(paper: dict[str, Any]) -> Table:
    """What the paper prints."""
    lines = [[one["method"], one["hole"], f"{one['psnr']:g}", f"{one['ssim']:g}", one["comparable"]]
             for one in paper["printed"]]
    return ["method", "holes", "PSNR", "SSIM", "comparable"], lines


def says(paper: dict[str, Any]) -> str:
    """What a paper says of its numbers."""
    return (f"Holes: {', '.join(paper['holes'])}. Data: {paper['data']}. n: {paper['n']}. Colour: {paper['colour']}. "
            f"Values: {paper['values']}. SSIM's window: {paper['window']}. Here: values 0 to 255, PSNR in dB / SSIM.")


def _heading(metric: Metric) -> str:
    arrow = {"higher": "↑", "lower": "↓", "nearer 1": "→ 1"}[metric.better]
    return f"{metric.title}{f' [{metric.unit}]' if metric.unit else ''} {arrow}"


def _is_method(bench: Bench, label: str) -> bool:
    return any(entry.label == label for entry in bench.entries)


# --- Markdown -----------------------------------------------------------------------------------


def as_markdown(bench: Bench, summary: Summary, papers: list[dict[str, Any]], level: int = 1) -> str:
    """The report as a page of text. level: of its headings."""
    mark = "#" * level
    parts = [f"{mark} Evaluation\n", f"`{summary.about['command']}`\n", *_facts(summary), ""]
    for dataset in bench.datasets:
        for protocol in bench.protocols:
            parts += [f"{mark}# {dataset.name}, {protocol.name}\n",
                      markdown_table(method_table(bench, summary, dataset.name, protocol.name))]
            for title, table in (("Differences", difference_table(summary, dataset.name, protocol.name)),
                                 ("Groups", group_table(bench, summary, dataset.name, protocol.name))):
                if table[1]:
                    parts += [f"{mark}## {title}: {dataset.name}, {protocol.name}\n", markdown_table(table)]
    for paper in papers:
        parts += [f"{mark}# By the definitions of: {paper['title']}\n", says(paper) + "\n",
                  markdown_table(paper_table(paper))]
        if paper["printed"]:
            parts += ["What the paper prints:\n", markdown_table(printed_table(paper))]
    parts += [f"{mark}# Definitions\n", *(f"- **{metric.title}**: {metric.definition}." for metric in summary.metrics),
              f"- Intervals: 95 %, {summary.about['intervals']}.", "", HONEST]
    return "\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """A table of a page, with an empty line after it."""
    head, lines = table
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def _facts(summary: Summary) -> list[str]:
    about = summary.about
    facts = [f"- facefill {about['version']}, commit {about['commit'] or 'unknown'}; {about['libraries']}"]
    for name, dataset in about["datasets"].items():
        facts.append(f"- dataset {name}: n = {dataset['n']}, {dataset['side_px']} px, SHA-256 {dataset['sha256'][:16]}")
        facts += [f"  - holes {protocol}: SHA-256 {digest[:16]}" for protocol, digest in dataset["holes"].items()]
    for name, method in about["methods"].items():
        digest = f"weights {method['sha256'][:16]}" if method["sha256"] else "no weights"
        limit = f", the first {method['limit']} faces" if method["limit"] else ""
        facts.append(f"- method {name}: {digest}{limit}")
    return facts


# --- A page by itself ---------------------------------------------------------------------------

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1500px;padding:0 1em;color:#111;background:#fff}
table{border-collapse:collapse;margin:.6em 0 1.6em;font-size:13px}th,td{padding:.25em .6em;border:1px solid #ccc;
text-align:left;white-space:nowrap}th{background:#f0f0f0;cursor:pointer}th button{all:unset;cursor:pointer}
th button:focus-visible{outline:2px solid #0072B2}.wide{overflow-x:auto}img{max-width:100%;height:auto}
figure{margin:1em 0}figcaption{font-size:13px}code{background:#f4f4f4;padding:.1em .3em}svg{max-width:100%;height:auto}
"""
SCRIPT = """
document.querySelectorAll('table').forEach(t=>t.querySelectorAll('th').forEach((h,i)=>{h.onclick=()=>{
const b=t.tBodies[0],up=h.ariaSort!=='ascending',v=r=>r.cells[i].textContent,
n=s=>parseFloat(s.replace('\\u2212','-'));t.querySelectorAll('th').forEach(o=>o.ariaSort='none');
h.ariaSort=up?'ascending':'descending';[...b.rows].sort((p,q)=>{const x=n(v(p)),y=n(v(q)),
c=isNaN(x)||isNaN(y)?(isNaN(x)-isNaN(y)||v(p).localeCompare(v(q))):x-y;return up?c:-c}).forEach(r=>b.append(r))}}));
"""


def _as_html(bench: Bench, summary: Summary, papers: list[dict[str, Any]]) -> str:
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>facefill evaluation</title>"
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head><body>",
        f"<h1>Evaluation</h1><p><code>{html.escape(summary.about['command'])}</code></p>",
        "<ul>" + "".join(f"<li>{html.escape(fact.strip(' -'))}</li>" for fact in _facts(summary)) + "</ul>",
        "<p>Click a heading to sort. Times and memory: timings.md beside this file.</p>",
    ]
    for dataset in bench.datasets:
        parts.append(f"<h2>{html.escape(dataset.name)}</h2>{_plots(bench, summary, dataset.name)}")
        for protocol in bench.protocols:
            place = dataset.name, protocol.name
            parts.append(f"<h3>{html.escape(f'{dataset.name}, {protocol.name}')}</h3>")
            parts.append(_html_table(method_table(bench, summary, *place)))
            for title, table in (("Differences", difference_table(summary, *place)),
                                 ("Groups", group_table(bench, summary, *place))):
                if table[1]:
                    parts.append(f"<details><summary>{title}</summary>{_html_table(table)}</details>")
            parts.append(_pictures(bench, summary, *place))
    for paper in papers:
        parts.append(f"<h2>By the definitions of: {html.escape(paper['title'])}</h2><p>{html.escape(says(paper))}</p>")
        parts.append(_html_table(paper_table(paper)))
        if paper["printed"]:
            parts.append("<p>What the paper prints:</p>" + _html_table(printed_table(paper)))
    definitions = "".join(f"<dt>{html.escape(metric.title)}</dt><dd>{html.escape(metric.definition)}.</dd>"
                          for metric in summary.metrics)
    parts.append(f"<h2>Definitions</h2><dl>{definitions}<dt>Intervals</dt><dd>95 %, "
                 f"{html.escape(summary.about['intervals'])}.</dd></dl><p>{HONEST}</p>")
    parts.append(f"<script>{SCRIPT}</script></body></html>")
    return "\n".join(parts) + "\n"


def _html_table(table: Table) -> str:
    head, lines = table
    cells = "".join(f"<th scope='col'><button>{html.escape(cell)}</button></th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<div class='wide'><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"


def _plots(bench: Bench, summary: Summary, dataset: str) -> str:
    methods = [entry.label for entry in bench.entries]
    found = []
    for metric in summary.metrics:
        rows = [row for row in summary.rows if row.dataset == dataset and row.metric == metric.name
                and not row.kind and row.method in methods and math.isfinite(row.value)]
        if rows and (metric.name in PLOTTED or metric.name.startswith(("lpips", "cosine", "frechet"))):
            found.append(f"<figure>{plot_intervals(metric, rows, methods)}<figcaption>{html.escape(metric.title)} on "
                         f"{html.escape(dataset)}, with 95 % intervals</figcaption></figure>")
    return "".join(found)


def _pictures(bench: Bench, summary: Summary, dataset: str, protocol: str) -> str:
    cases = [case for case in summary.cases if (case["dataset"], case["protocol"]) == (dataset, protocol)]
    data = next(one for one in bench.datasets if one.name == dataset)
    frozen = next(one for one in bench.protocols if one.name == protocol)
    tiles = []
    for case in cases:
        drawn = [complete_case(bench, data, frozen, label, case["file"])
                 for label in [COVERED, *(entry.label for entry in bench.entries)]]
        tiles.append([drawn[0][0].truth, *(picture for _, picture in drawn)])
    order = ", ".join(["truth", "hole", *(entry.label for entry in bench.entries)])
    ranks = "; ".join(f"{case['rank']}: {case['file']}" for case in cases)
    text = f"{dataset}, {protocol}. From left to right: {order}. By hole PSNR of {bench.entries[0].label}, {ranks}."
    return (f"<figure><img alt='{html.escape(text)}' src='{data_uri(grid(tiles))}'>"
            f"<figcaption>{html.escape(text)}</figcaption></figure>")
