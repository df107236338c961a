"""Frames of a film: decoded upright, changed only where something was completed, and encoded again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange

from facefill.arrays import U8, Bool
from facefill.choices import pick
from facefill.errors import InputError
from facefill.imaging.masks import bounding_box

PLANAR = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
"""Formats whose planes are changed in place; others become yuv420p."""
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    # No B-frames: the packets of segments that were encoded apart then follow each other in time.
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".mkv"), ("libx264", {"crf": "18", "preset": "veryfast", "bf": "0"})),
    ".webm": ("libvpx-vp9", {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"}),
}
"""Encoder and its options by the suffix of the output."""


def open_film(path: Path) -> Any:
    """An open PyAV container with a video stream. Raises InputError."""
    if not path.is_file():
        raise InputError("a film", f"no file {path}", "give the path of a video file")
    try:
        film = av.open(str(path))
    except av.FFmpegError as error:
        raise InputError("a film", f"{path.name}: {error.strerror}", "give a video file that FFmpeg reads") from None
    if not film.streams.video:
        film.close()
        raise InputError("a film", f"{path.name} without pictures", "give a video file")
    film.streams.video[0].thread_type = "AUTO"
    return film


def read_frames(film: Any, since: int | None) -> Iterator[Any]:
    """Decoded frames in their order of time, upright, in one of the `PLANAR` formats. since: time stamp of the first
    one, None for all. Raises InputError for damage."""
    stream = film.streams.video[0]
    if since is not None:
        film.seek(since, stream=stream)
    last = None
    try:
        for frame in film.decode(stream):
            if frame.pts is None or (last is not None and frame.pts <= last):
                got = f"one that has none after {_time(last, stream)}"
                raise InputError("frames with rising time stamps", got, "remux the film with ffmpeg -fflags +genpts")
            last = frame.pts
            if since is None or frame.pts >= since:
                yield _upright(frame)
    except av.FFmpegError as error:
        raise InputError(
            "a whole film", f"{error.strerror} after {_time(last, stream)}", "cut or remux the film with ffmpeg"
        ) from None


def _time(pts: int | None, stream: Any) -> str:
    return "0 s" if pts is None else f"{float(pts * stream.time_base):.2f} s"


def _upright(frame: Any) -> Any:
    if frame.format.name not in PLANAR:
        frame = _like(frame.reformat(format="yuv420p"), frame)
    turns = round(frame.rotation / 90) % 4
    if not turns:
        return frame
    width, height = (frame.width, frame.height) if turns == 2 else (frame.height, frame.width)
    turned = _like(av.VideoFrame(width, height, frame.format.name), frame)
    for target, source in zip(planes_of(turned), planes_of(frame), strict=True):
        target[:] = np.rot90(source, turns)[: target.shape[0], : target.shape[1]]
    return turned


def _like(frame: Any, other: Any) -> Any:
    frame.pts, frame.time_base = other.pts, other.time_base
    frame.colorspace, frame.color_range = other.colorspace, other.color_range
    return frame


def planes_of(frame: Any) -> list[U8]:
    """The planes of a frame as arrays (h, w) of its own memory."""
    return [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in frame.planes
    ]


def to_rgb(frame: Any) -> U8:
    """(H, W, 3) uint8 RGB."""
    return np.asarray(frame.reformat(format="rgb24", dst_color_range=ColorRange.JPEG).to_ndarray(), np.uint8)


def write_into(frame: Any, pixels: U8, mask: Bool) -> None:
    """Put (H, W, 3) RGB into the frame's planes where (H, W) is True; every other sample stays. Where chroma is shared
    by several pixels, it is written if any of them is True."""
    x0, y0, x1, y1 = bounding_box(mask, 2)
    x0, y0 = max(x0 - x0 % 2, 0), max(y0 - y0 % 2, 0)
    x1, y1 = min(x1 + x1 % 2, mask.shape[1]), min(y1 + y1 % 2, mask.shape[0])
    part = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[y0:y1, x0:x1]), format="rgb24")
    part = part.reformat(
        format=frame.format.name,
        src_color_range=ColorRange.JPEG,
        dst_colorspace=frame.colorspace,
        dst_color_range=frame.color_range,
    )
    frame.make_writable()
    missing = mask[y0:y1, x0:x1]
    for plane, new in zip(planes_of(frame), planes_of(part), strict=True):
        down, across = round(mask.shape[0] / plane.shape[0]), round(mask.shape[1] / plane.shape[1])
        window = plane[y0 // down : y0 // down + new.shape[0], x0 // across : x0 // across + new.shape[1]]
        np.copyto(window, new, where=_shrink(missing, down, across)[: new.shape[0], : new.shape[1]])


def _shrink(mask: Bool, down: int, across: int) -> Bool:
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % down), (0, -width % across)))
    return np.asarray(padded.reshape(-1, down, padded.shape[1] // across, across).any(axis=(1, 3)))


def encoder_of(target: Path) -> tuple[str, dict[str, str]]:
    """Raises InputError for a suffix that is none of a film."""
    return pick(ENCODERS, target.suffix.lower(), "suffix")


def add_video(out: Any, target: Path, source: Any, frame: Any) -> Any:
    """A stream that encodes frames like this one, with the source's clock."""
    codec, options = encoder_of(target)
    stream = out.add_stream(codec, rate=source.average_rate or 25, options=options)
    stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
    context, given = stream.codec_context, source.codec_context
    context.time_base = stream.time_base = source.time_base
    context.color_range, context.colorspace = frame.color_range, frame.colorspace
    context.color_primaries, context.color_trc = given.color_primaries, given.color_trc
    if given.sample_aspect_ratio and frame.width == source.width:
        context.sample_aspect_ratio = given.sample_aspect_ratio
    return stream
