"""report.html: a page by itself, with tables that sort, plots and pictures."""

from __future__ import annotations

import html
import math
from typing import Any

from facefill.evaluation.bench import COVERED, Bench
from facefill.evaluation.benchmark import complete_case
from facefill.evaluation.figures import data_uri, grid, plot_intervals
from facefill.evaluation.summary import Summary
from facefill.evaluation.tables import (
    HONEST,
    Table,
    difference_table,
    facts_of,
    group_table,
    method_table,
    paper_table,
    printed_table,
    says,
)

PLOTTED = ("psnr", "hole_psnr", "ssim", "sharpness")
"""Metrics with a plot, beside those of networks."""

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


def as_html(bench: Bench, summary: Summary, papers: list[dict[str, Any]]) -> str:
    """The whole page; nothing in it comes from elsewhere."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>facefill evaluation</title>"
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head><body>",
        f"<h1>Evaluation</h1><p><code>{html.escape(summary.about['command'])}</code></p>",
        "<ul>" + "".join(f"<li>{html.escape(fact.strip(' -'))}</li>" for fact in facts_of(summary)) + "</ul>",
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
