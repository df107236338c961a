"""report.html: a page by itself, with tables that sort, plots of intervals, and the best, median and worst pictures."""

import base64
import html
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facefill.arrays import U8
from facefill.datasets.faces import Dataset
from facefill.evaluation import report
from facefill.evaluation.aggregate import Metric, ReportRow, Summary, paper_lines
from facefill.evaluation.benchmark import COVERED, Bench, complete_case
from facefill.evaluation.protocols import Protocol
from facefill.imaging.metrics import hole_psnr
from facefill.offline import cache_folder

PLOTTED = ("psnr", "hole_psnr", "ssim", "sharpness")
"""Metrics with a plot, beside those of networks."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Told apart by people with every kind of colour blindness (Okabe & Ito 2008), on light and on dark pages; without
their yellow, which white hides, and black, which dark pages do."""
MARKERS = "osD^v<>"
"""As many as share no divisor with the colours: a pair comes back after 42 methods only."""
INK = "#010203"
"""Stands for the page's own colour of text while matplotlib draws."""
PICTURE_PX = 256
JPEG_QUALITY = 92

STYLE, SCRIPT = (Path(__file__).with_name(f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))


def as_html(bench: Bench, summary: Summary) -> str:
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>facefill evaluation</title>"
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style></head><body>",
        f"<h1>Evaluation</h1><p><code>{html.escape(summary.about['command'])}</code></p>",
        "<details><summary>Versions, and the hashes of datasets and holes</summary><ul>"
        + "".join(f"<li>{html.escape(fact)}</li>" for fact in report.facts_of(summary))
        + "</ul></details>",
        "<p>Click a heading to sort. Times and memory: timings.md beside this file.</p>",
    ]
    for dataset in bench.datasets:
        parts.append(f"<h2>{html.escape(dataset.name)}</h2>{_plots(bench, summary, dataset.name)}")
        for protocol in bench.protocols:
            place = dataset.name, protocol.name
            parts.append(f"<h3>{html.escape(', '.join(place))}</h3>")
            parts.append(_table(report.method_table(bench, summary, *place)))
            for title, table in report.further_tables(bench, summary, *place):
                parts.append(f"<details><summary>{title}</summary>{_table(table)}</details>")
            parts.append(_pictures(bench, summary, dataset, protocol))
    for paper in bench.papers.values():
        title, says = html.escape(paper.title), html.escape(report.says(paper))
        parts.append(f"<h2>By the definitions of: {title}</h2><p>{says}</p>")
        parts.append(_table(report.paper_table(paper_lines(bench, summary, paper))))
        if paper.printed:
            parts.append("<p>What the paper prints:</p>" + _table(report.printed_table(paper)))
    pairs = ((html.escape(title), html.escape(text)) for title, text in report.definitions(summary))
    defined = "".join(f"<dt>{title}</dt><dd>{text}.</dd>" for title, text in pairs)
    parts.append(f"<h2>Definitions</h2><dl>{defined}</dl><p>{report.HONEST}</p><script>{SCRIPT}</script></body></html>")
    return "\n".join(parts) + "\n"


def _table(table: report.Table) -> str:
    head, lines = table
    cells = "".join(f"<th scope='col'><button>{html.escape(cell)}</button></th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"<div class='wide'><table class='sorts'><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"


# --- Plots --------------------------------------------------------------------------------------


def _plots(bench: Bench, summary: Summary, dataset: str) -> str:
    methods = [entry.label for entry in bench.entries]
    found = []
    for metric in summary.metrics:
        ours = [row for row in summary.rows if (row.dataset, row.metric, row.kind) == (dataset, metric.name, "")]
        rows = [row for row in ours if row.method in methods and math.isfinite(row.value)]
        if rows and (metric.name in PLOTTED or metric.name.startswith(("lpips", "cosine", "frechet"))):
            found.append(
                f"<figure>{plot_intervals(metric, rows, methods)}<figcaption>{html.escape(metric.title)} on "
                f"{html.escape(dataset)}, with 95 % intervals</figcaption></figure>"
            )
    return "".join(found)


def plot_intervals(metric: Metric, rows: Sequence[ReportRow], methods: Sequence[str]) -> str:
    """An SVG of one metric: a line for each protocol, a marker with its interval for each method.

    rows: those of one dataset and this metric. The same rows give the same text. Needs matplotlib.
    """
    os.environ.setdefault("MPLCONFIGDIR", str(cache_folder() / "matplotlib"))  # it writes a list of fonts
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    protocols = list(dict.fromkeys(row.protocol for row in rows))
    inks = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color")
    style: Any = {"svg.hashsalt": "facefill", "svg.fonttype": "none", "font.size": 9}
    with matplotlib.rc_context(style | dict.fromkeys(inks, INK)):
        figure = Figure(figsize=(9, 0.9 + len(protocols) * (0.12 * len(methods) + 0.14)), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for place, method in enumerate(methods):
            mine = [row for row in rows if row.method == method]
            if not mine:
                continue
            offset = (place - (len(methods) - 1) / 2) * 0.8 / len(methods)
            at = [protocols.index(row.protocol) + offset for row in mine]
            ends = np.array([(row.value - row.low, row.high - row.value) for row in mine]).T
            marker, colour = MARKERS[place % len(MARKERS)], COLOURS[place % len(COLOURS)]
            look: Any = {"fmt": marker, "color": colour, "markersize": 4, "capsize": 2, "linewidth": 1.2}
            axes.errorbar([row.value for row in mine], at, xerr=np.nan_to_num(ends).clip(0), label=method, **look)
        for between in range(1, len(protocols)):
            axes.axhline(between - 0.5, color=INK, linewidth=0.4, alpha=0.4)
        axes.set_yticks(range(len(protocols)), protocols)
        axes.set_ylim(len(protocols) - 0.5, -0.5)
        axes.set_xlabel(f"{metric.title}{f' [{metric.unit}]' if metric.unit else ''}, {metric.better} is better")
        axes.grid(axis="x", linewidth=0.4, alpha=0.4)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


# --- Pictures -----------------------------------------------------------------------------------


def _pictures(bench: Bench, summary: Summary, dataset: Dataset, protocol: Protocol) -> str:
    """Truth, hole and every method's completion of the best, median and worst picture, with each one's hole PSNR."""
    labels = [entry.label for entry in bench.entries]
    lines = []
    for case in summary.cases:
        if (case["dataset"], case["protocol"]) != (dataset.name, protocol.name):
            continue
        drawn, hole = complete_case(bench, dataset, protocol, COVERED, case["file"])
        cells = [_picture(drawn.truth, "truth", ""), _picture(hole, "hole", "")]
        place = [face.file for face in dataset.faces].index(case["file"])
        for label in labels:
            if place >= bench.count(label, dataset):
                cells.append(f"<td>not among its first {bench.count(label, dataset)}</td>")
                continue
            completed = complete_case(bench, dataset, protocol, label, case["file"])[1]
            score = hole_psnr(completed, drawn.truth, drawn.hole)
            told = f"{report.number(score, 2)} dB" if math.isfinite(score) else "identical"
            cells.append(_picture(completed, f"{label}, {case['file']}", told))
        name = f"{case['rank']}<br>{html.escape(case['file'])}"
        lines.append(f"<tr><th scope='row'>{name}</th>{''.join(cells)}</tr>")
    heads = "".join(f"<th scope='col'>{html.escape(head)}</th>" for head in ["", "truth", "hole", *labels])
    return (
        f"<p>Best, median and worst by hole PSNR of {html.escape(labels[0])}; below each picture its hole PSNR.</p>"
        f"<div class='wide'><table class='pictures'><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody>"
        "</table></div>"
    )


def _picture(picture: U8, name: str, told: str) -> str:
    return f"<td><img alt='{html.escape(name)}' src='{data_uri(picture)}'>{told}</td>"


def data_uri(picture: U8) -> str:
    """A picture inside a page: a small one without loss, because its pixels are shown large."""
    kind, options = ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]) if len(picture) >= PICTURE_PX else ("png", [])
    coded = cv2.imencode(f".{kind}", picture[..., ::-1], options)[1]
    return f"data:image/{kind};base64," + base64.b64encode(coded.tobytes()).decode()
