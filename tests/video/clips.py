"""Small films for the tests, drawn and written by PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.runtime.test_track import moved

TICKS = Fraction(1, 1000)


def write_clip(path: Path, frames: int = 40, *, sound: bool = True, video: str = "libx264") -> list[int]:
    """A moving drawn face in 320 × 240, frames at uneven times; returns their time stamps in `TICKS`."""
    times = [40 * index + index % 3 for index in range(frames)]
    with av.open(str(path), "w") as out:
        stream = out.add_stream(video, rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.time_base = TICKS
        spoken = out.add_stream("aac", rate=44100) if sound else None
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(moved(0.8 * index, 0.4 * index)[0], "rgb24")
            frame.pts, frame.time_base = time, TICKS
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if spoken:
            tone = np.sin(np.arange(int(frames / 25 * 44100)) / 15)
            for start in range(0, len(tone) - 1024, 1024):
                samples = (8000 * tone[start : start + 1024]).astype(np.int16)
                heard = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
                heard.sample_rate, heard.pts = 44100, start
                out.mux(spoken.encode(heard))
            out.mux(spoken.encode())
    return times


def frames_of(path: Path) -> list[Any]:
    with av.open(str(path)) as film:
        return list(film.decode(video=0))


def packets_of(path: Path, kind: str) -> list[tuple[float, bytes]]:
    """(time in s, content) of every packet of one stream."""
    with av.open(str(path)) as film:
        stream = next(stream for stream in film.streams if stream.type == kind)
        return [
            (float(packet.dts * packet.time_base), bytes(packet))
            for packet in film.demux(stream)
            if packet.dts is not None
        ]
