"""Pictures of a report: plots of intervals, and grids of completed faces."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facefill.evaluation.summary import Metric, Row

U8 = NDArray[np.uint8]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999999")
"""Told apart by people with every kind of colour blindness (Okabe & Ito 2008), the darkest first."""
MARKERS = "osD^v<>p"
GAP_PX = 4
JPEG_QUALITY = 92


def plot_intervals(metric: Metric, rows: Sequence[Row], methods: Sequence[str]) -> str:
    """An SVG of one metric: a line for each protocol, a marker with its interval for each method.

    rows: those of one dataset and this metric. The same rows give the same text. Needs matplotlib.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    protocols = list(dict.fromkeys(row.protocol for row in rows))
    height = 0.9 + len(protocols) * (0.16 * len(methods) + 0.12)
    with matplotlib.rc_context({"svg.hashsalt": "facefill", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(7, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for place, method in enumerate(methods):
            mine = [row for row in rows if row.method == method and math.isfinite(row.value)]
            if not mine:
                continue
            offset = (place - (len(methods) - 1) / 2) * 0.8 / max(len(methods), 1)
            at = [protocols.index(row.protocol) + offset for row in mine]
            ends = [(row.value - row.low, row.high - row.value) for row in mine]
            lengths = np.nan_to_num(np.array(ends).T).clip(0)
            axes.errorbar([row.value for row in mine], at, xerr=lengths, fmt=MARKERS[place % len(MARKERS)],
                          color=COLOURS[place % len(COLOURS)], markersize=4, capsize=2, linewidth=1.2, label=method)
        axes.set_yticks(range(len(protocols)), protocols)
        axes.set_ylim(len(protocols) - 0.5, -0.5)
        axes.set_xlabel(f"{metric.title}{f' [{metric.unit}]' if metric.unit else ''}, {metric.better} is better")
        axes.grid(axis="x", linewidth=0.4, alpha=0.6)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def grid(tiles: Sequence[Sequence[U8]]) -> U8:
    """Rows of (S, S, 3) pictures as one, small ones enlarged in whole pixels to about 256."""
    side = tiles[0][0].shape[0]
    times = max(round(256 / side), 1)
    step = side * times + GAP_PX
    sheet = np.full((step * len(tiles) - GAP_PX, step * max(map(len, tiles)) - GAP_PX, 3), 255, np.uint8)
    for down, row in enumerate(tiles):
        for across, tile in enumerate(row):
            large = np.repeat(np.repeat(tile, times, axis=0), times, axis=1)
            y, x = down * step, across * step
            sheet[y : y + large.shape[0], x : x + large.shape[1]] = large
    return sheet


def data_uri(picture: U8) -> str:
    """A picture inside a page."""
    coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode()
