"""A film completed in segments, so that the same command goes on where it was stopped."""

import heapq
import io
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import av

from facefill import __version__
from facefill.arrays import U8
from facefill.errors import InputError, explained
from facefill.files.whole import whole, write_whole
from facefill.runtime.inpainter import HONEST
from facefill.runtime.stream import Seen, Stream, StreamFrame
from facefill.video.film import add_video, encoder_of, open_film, read_frames, to_rgb, write_into

SEGMENT_FRAMES = 240
"""A segment is written as a whole; a stopped run loses no more than one."""
AHEAD = 6
"""Frames that may wait to be filled while the next ones are looked at: as many as one is drawn for, and some."""
WARM_FRAMES = 20
"""Frames before a segment with which following and blending begin: as many as what is no longer covered takes to go."""


@dataclass
class Second:
    """What was done in one second of the film."""

    second: int
    frames: int = 0
    faces: int = 0
    """Most in a frame."""
    completed: int = 0
    """Frames in which a face was completed."""
    too_covered: int = 0
    """Frames in which a face was left as it is, because too much of it is hidden."""


Tell = Callable[[Second, float], None]
"""What is told of a second, and the film's length in seconds."""


@dataclass
class _State:
    """What is done: kept beside the segments."""

    job: dict[str, Any]
    segments: int = 0
    frames: int = 0
    warm: int | None = None
    """Time stamp from which the next segment's warm-up is read."""
    start: int | None = None
    """Time stamp of the next segment's first frame, None at the end."""
    ended: bool = False
    told: int | None = None
    """The second of the film that was told last."""
    begun: dict[str, int] | None = None
    """What is counted so far of the `Second` in which the next segment begins."""

    def save(self, folder: Path) -> None:
        write_whole(folder / "state.json", json.dumps(asdict(self)).encode())


@dataclass(frozen=True)
class Done:
    """A finished film."""

    frames: int
    resumed: int
    """Frames that an earlier run had finished."""
    left_out: tuple[str, ...] = field(default=())
    """Streams of the source that were not copied."""


def convert(
    source: Path,
    target: Path,
    open_stream: Callable[[], Stream],
    job: dict[str, Any],
    *,
    overwrite: bool = False,
    tell: Tell = lambda second, length_s: None,
) -> Done:
    """Complete the faces of a film. open_stream: a fresh `Stream` for each segment. job: what decides the result
    (method, weights, ...); segments of another job are done again. tell: called after every second of the film, with
    the film's length in seconds (0 where it does not say).

    Sound and subtitles are copied with their time stamps; other data and the file's own metadata are not.
    Raises InputError for what is no film, a suffix or a sound that do not fit, and an existing target.
    """
    encoder_of(target)
    film = open_film(source)
    if target.exists() and (target.samefile(source) or not overwrite):
        fix = "choose another" if target.samefile(source) else "choose another, or give --overwrite"
        raise InputError("a new file", f"{target}, which exists", fix)
    copied, left_out = _copied(film, target)
    job = job | {
        "version": __version__,
        "suffix": target.suffix.lower(),
        "bytes": source.stat().st_size,
        "changed": source.stat().st_mtime_ns,
        "segment": SEGMENT_FRAMES,
    }
    folder = target.with_name(f".{target.name}.facefill")
    state = _open_state(folder, job)
    resumed = state.frames
    if not state.ended:
        _work(film, target, folder, state, open_stream, tell)
    if not state.frames:
        raise InputError("a film", f"{source.name} without a frame", "give a video file")
    with whole(target) as part:
        _join(film, copied, folder, state.segments, part, f"{HONEST} Completed by facefill, {job['method']}.")
    shutil.rmtree(folder)
    film.close()
    return Done(state.frames, resumed, left_out)


def _copied(film: Any, target: Path) -> tuple[list[Any], tuple[str, ...]]:
    """The streams that go over as they are, and what is said of the others."""
    kept = [stream for stream in film.streams if stream.type in ("audio", "subtitle")]
    others = [stream.type for stream in film.streams if stream.type not in ("audio", "subtitle", "video")]
    name = {".mkv": "matroska", ".webm": "webm", ".mov": "mov"}.get(target.suffix.lower(), "mp4")
    with av.open(io.BytesIO(), "w", format=name) as trial:
        try:
            for stream in kept:
                trial.add_stream_from_template(stream)
        except (av.FFmpegError, ValueError):
            got = " and ".join(stream.codec_context.name for stream in kept)
            fix = "choose a name that ends in .mkv"
            raise InputError(f"sound and subtitles that {target.suffix} holds", got, fix) from None
    return kept, tuple(f"a stream of {kind}" for kind in others)


def _open_state(folder: Path, job: dict[str, Any]) -> _State:
    if folder.is_symlink():
        raise InputError("a folder of our own", f"the link {folder}", "remove it")
    try:
        state = _State(**json.loads((folder / "state.json").read_text()))
        if state.job == job:
            return state
    except (OSError, ValueError, TypeError):
        pass  # nothing, or nothing that can be gone on with: from the beginning
    shutil.rmtree(folder, ignore_errors=True)
    with explained("a folder that can be written to", folder.parent, "choose another"):
        folder.mkdir()
    return _State(job)


def _work(film: Any, target: Path, folder: Path, state: _State, open_stream: Callable[[], Stream], tell: Tell) -> None:
    source = film.streams.video[0]
    recent: deque[tuple[int, U8]] = deque(maxlen=WARM_FRAMES)
    frames = read_frames(film, state.warm)
    frame = next(frames, None)
    while frame is not None and state.start is not None and frame.pts < state.start:
        recent.append((frame.pts, to_rgb(frame)))
        frame = next(frames, None)
    told = _Told(tell, float(film.duration or 0) / av.time_base, state, folder)
    while frame is not None:
        stream = open_stream()
        for _, pixels in recent:
            stream.complete(pixels)
        with av.open(str(folder / f"{state.segments:05d}.nut"), "w") as out, ThreadPoolExecutor(1) as beside:
            coded, count = add_video(out, target, source, frame), 0
            ahead: deque[Future[tuple[int, StreamFrame]]] = deque()
            for _ in range(SEGMENT_FRAMES):
                pixels = to_rgb(frame)
                recent.append((frame.pts, pixels))
                if len(ahead) == AHEAD:
                    told.add(*ahead.popleft().result())
                ahead.append(beside.submit(_finish, stream, stream.look(pixels), frame, coded, out))
                count += 1
                frame = next(frames, None)
                if frame is None:
                    break
            for done in ahead:
                told.add(*done.result())
            out.mux(coded.encode())
        if frame is None:
            told.end()
        state.segments += 1
        state.frames += count
        state.warm, state.start = recent[0][0], frame.pts if frame else None
        state.ended, state.begun = frame is None, told.begun
        state.save(folder)


def _finish(stream: Stream, seen: Seen, frame: Any, coded: Any, out: Any) -> tuple[int, StreamFrame]:
    """Complete a frame and encode it, while the next one is decoded and looked at."""
    done = stream.fill(seen)
    if done.mask.any():
        write_into(frame, done.pixels, done.mask)
    frame.pict_type = 0
    out.mux(coded.encode(frame))
    return int(frame.pts * frame.time_base), done


class _Told:
    """Counts frames by the second, and tells of a second when the next one begins: once, and as a whole, whatever an
    earlier run had done and told of it."""

    def __init__(self, tell: Tell, length_s: float, state: _State, folder: Path) -> None:
        self._tell, self._length_s, self._state, self._folder = tell, length_s, state, folder
        self._now = Second(**state.begun) if state.begun else None

    @property
    def begun(self) -> dict[str, int] | None:
        """What is counted of a second that is not told yet."""
        return asdict(self._now) if self._now else None

    def add(self, at: int, frame: StreamFrame) -> None:
        if self._now is None or at != self._now.second:
            self.end()
            self._now = Second(at)
        self._now.frames += 1
        self._now.faces = max(self._now.faces, frame.faces)
        self._now.completed += frame.completed > 0
        self._now.too_covered += frame.too_covered > 0

    def end(self) -> None:
        if self._now is None:
            return
        if self._state.told is None or self._now.second > self._state.told:
            self._tell(self._now, self._length_s)
            self._state.told = self._now.second
            self._state.save(self._folder)
        self._now = None


def _join(film: Any, copied: list[Any], folder: Path, segments: int, target: Path, comment: str) -> None:
    """Write the packets of all segments and of the copied streams into one file, in the order of time."""
    film.seek(0)
    options = {"movflags": "+faststart"} if target.suffix.lower() in (".mp4", ".m4v", ".mov") else {}
    with av.open(str(target), "w", options=options) as out:
        with av.open(str(folder / "00000.nut")) as first:
            video = out.add_stream_from_template(first.streams.video[0])
        video.time_base = film.streams.video[0].time_base
        places = {stream.index: out.add_stream_from_template(stream) for stream in copied}
        out.metadata["comment"] = comment
        for packet in heapq.merge(
            _coded(folder, segments, video),
            _others(film, copied, places),
            key=lambda packet: packet.dts * packet.time_base,
        ):
            out.mux(packet)


def _coded(folder: Path, segments: int, stream: Any) -> Iterator[Any]:
    for number in range(segments):
        with av.open(str(folder / f"{number:05d}.nut")) as segment:
            for packet in segment.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    yield packet


def _others(film: Any, copied: list[Any], places: dict[int, Any]) -> Iterator[Any]:
    if not copied:
        return
    for packet in film.demux(copied):
        if packet.dts is not None:
            packet.stream = places[packet.stream.index]
            yield packet
