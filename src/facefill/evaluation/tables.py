"""Tables of a report, for every kind of page."""

from __future__ import annotations

import math
from typing import Any

from facefill.evaluation.bench import COVERED, TRUTH, Bench
from facefill.evaluation.protocols import VARIANTS
from facefill.evaluation.summary import Metric, Row, Summary

HONEST = "What was hidden is invented in every completion; identity figures say how much of a person is left to see, " \
    "and are no evidence of who somebody is."

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


def markdown_table(table: Table) -> str:
    """A table of a page, with an empty line after it."""
    head, lines = table
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def facts_of(summary: Summary) -> list[str]:
    """What was judged on what, as items of a list."""
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
