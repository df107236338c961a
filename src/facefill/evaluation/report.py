"""What an evaluation writes: report.json, .csv, .md and .html; the same for the same values, to the byte."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from facefill.evaluation.bench import Bench
from facefill.evaluation.page import as_html
from facefill.evaluation.summary import Row, Summary, paper_tables
from facefill.evaluation.tables import (
    HONEST,
    difference_table,
    facts_of,
    group_table,
    markdown_table,
    method_table,
    paper_table,
    printed_table,
    says,
)


def write_report(bench: Bench, summary: Summary) -> list[Path]:
    """Write the four reports into the settings' folder, each whole or not at all."""
    papers = paper_tables(bench, summary)
    texts = {
        "report.json": _as_json(summary, papers),
        "report.csv": _as_csv(summary),
        "report.md": as_markdown(bench, summary, papers),
        "report.html": as_html(bench, summary, papers),
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


def as_markdown(bench: Bench, summary: Summary, papers: list[dict[str, Any]], level: int = 1) -> str:
    """The report as a page of text. level: of its headings."""
    mark = "#" * level
    parts = [f"{mark} Evaluation\n", f"`{summary.about['command']}`\n", *facts_of(summary), ""]
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
