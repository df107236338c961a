"""A film goes in and comes out: what is completed, what is copied, what a stopped run leaves, what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from facefill.errors import InputError
from facefill.runtime.model import Model, load
from facefill.runtime.stream import Stream
from tests.networks import write_inpainting
from tests.runtime.test_inpainter import Covers, FindsAt
from tests.runtime.test_track import LANDMARKS

pytest.importorskip("av", reason="pip install av")

import av

from facefill.video import run as video_run
from facefill.video.film import open_film, planes_of, read_frames, to_rgb, write_into
from facefill.video.run import Second, convert
from tests.video.clips import frames_of, packets_of, write_clip

JOB = {"method": "swift", "weights": "of a test"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(write_inpainting(tmp_path_factory.mktemp("net") / "tiny.onnx"), threads=1, exact=True)


def test_faces_are_completed_and_times_and_sound_are_copied(model: Model, tmp_path: Path) -> None:
    times = write_clip(tmp_path / "in.mp4")
    said: list[Second] = []
    done = convert(
        tmp_path / "in.mp4",
        tmp_path / "out.mp4",
        lambda: stream(model),
        JOB,
        tell=lambda second, length_s: said.append(second),
    )
    assert done.frames == len(times) == 40
    before, after = frames_of(tmp_path / "in.mp4"), frames_of(tmp_path / "out.mp4")
    assert [frame.time for frame in after] == [frame.time for frame in before] == [time / 1000 for time in times]
    assert packets_of(tmp_path / "out.mp4", "audio") == packets_of(tmp_path / "in.mp4", "audio")
    assert [(second.second, second.frames, second.completed) for second in said] == [(0, 25, 25), (1, 15, 15)]
    one, other = to_rgb(before[20]).astype(int), to_rgb(after[20]).astype(int)
    changed = np.abs(one - other).max(-1) > 12
    assert 0.01 < changed.mean() < 0.4
    assert b"invented" in (tmp_path / "out.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_subtitles_are_copied_with_their_times(model: Model, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", frames=30, sound=False)
    (tmp_path / "said.srt").write_text(
        "1\n00:00:00,200 --> 00:00:00,600\nHello\n\n2\n00:00:00,700 --> 00:00:01,000\nYes\n"
    )
    with (
        av.open(str(tmp_path / "clip.mp4")) as clip,
        av.open(str(tmp_path / "said.srt")) as said,
        av.open(str(tmp_path / "in.mkv"), "w") as out,
    ):
        copies = [(source, out.add_stream_from_template(source.streams[0])) for source in (clip, said)]
        for source, copy in copies:
            for packet in source.demux(0):
                if packet.dts is not None:
                    packet.stream = copy
                    out.mux(packet)
    convert(tmp_path / "in.mkv", tmp_path / "out.mkv", lambda: stream(model), JOB)
    before = packets_of(tmp_path / "in.mkv", "subtitle")
    assert [(time, bytes(text)) for time, text in before] == [(0.2, b"Hello"), (0.7, b"Yes")]
    assert packets_of(tmp_path / "out.mkv", "subtitle") == before


def stream(model: Model) -> Stream:
    return Stream(FindsAt(LANDMARKS), Covers(slice(120, 220)), model)


def test_a_stopped_run_goes_on_and_ends_with_the_bytes_of_one_that_was_not(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_run, "SEGMENT_FRAMES", 11)
    write_clip(tmp_path / "in.mp4", frames=60)
    convert(tmp_path / "in.mp4", tmp_path / "whole.mp4", lambda: stream(model), JOB)

    def stop(second: Second, length_s: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path / "in.mp4", tmp_path / "out.mp4", lambda: stream(model), JOB, tell=stop)
    assert not (tmp_path / "out.mp4").exists()
    done = convert(tmp_path / "in.mp4", tmp_path / "out.mp4", lambda: stream(model), JOB)
    assert (done.frames, done.resumed) == (60, 22)
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


@pytest.mark.parametrize("stopped", [1, 2])
def test_each_second_is_told_once_and_whole_by_a_stopped_run_and_the_next(
    stopped: int, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_run, "SEGMENT_FRAMES", 11)
    write_clip(tmp_path / "in.mp4", frames=70, sound=False)
    whole: list[Second] = []
    source = tmp_path / "in.mp4"
    convert(source, tmp_path / "whole.mp4", lambda: stream(model), JOB, tell=lambda second, _: whole.append(second))
    assert [second.second for second in whole] == list(range(len(whole)))
    assert sum(second.frames for second in whole) == 70
    said: list[Second] = []

    def tell(second: Second, length_s: float) -> None:
        if second.second == stopped and not resumed:
            raise KeyboardInterrupt
        said.append(second)

    resumed = False
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "out.mp4", lambda: stream(model), JOB, tell=tell)
    resumed = True
    convert(source, tmp_path / "out.mp4", lambda: stream(model), JOB, tell=tell)
    assert said == whole


def test_segments_of_another_job_are_done_again(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_run, "SEGMENT_FRAMES", 11)
    write_clip(tmp_path / "in.mp4", sound=False)

    def stop(second: Second, length_s: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path / "in.mp4", tmp_path / "out.mp4", lambda: stream(model), JOB, tell=stop)
    done = convert(tmp_path / "in.mp4", tmp_path / "out.mp4", lambda: stream(model), JOB | {"weights": "others"})
    assert done.resumed == 0


def test_only_the_hole_s_samples_of_a_frame_are_written(tmp_path: Path) -> None:
    write_clip(tmp_path / "in.mp4", frames=1, sound=False)
    with open_film(tmp_path / "in.mp4") as film:
        frame = next(read_frames(film, None))
    before = [plane.copy() for plane in planes_of(frame)]
    mask = np.zeros((240, 320), bool)
    mask[101:150, 33:90] = True
    write_into(frame, np.full((240, 320, 3), (200, 30, 60), np.uint8), mask)
    luma, *chroma = planes_of(frame)
    assert (luma[~mask] == before[0][~mask]).all()
    assert np.abs(to_rgb(frame)[110:140, 40:80].astype(int) - (200, 30, 60)).max() <= 3
    block = mask.reshape(120, 2, 160, 2).any((1, 3))
    for plane, old in zip(chroma, before[1:], strict=True):
        assert (plane[~block] == old[~block]).all()


def test_what_is_no_film_or_fits_none_is_refused(model: Model, tmp_path: Path) -> None:
    write_clip(tmp_path / "in.mp4", frames=3)
    (tmp_path / "note.mp4").write_text("no film")
    (tmp_path / "there.mp4").write_bytes(b"kept")
    before = {path.name for path in tmp_path.iterdir()}
    for source, target, words in (
        ("none.mp4", "out.mp4", "no file"),
        ("note.mp4", "out.mp4", "note.mp4"),
        ("in.mp4", "out.gif", "suffix"),
        ("in.mp4", "there.mp4", "exists"),
        ("in.mp4", "in.mp4", "exists"),
        ("in.mp4", "out.webm", ".mkv"),
    ):
        with pytest.raises(InputError, match=words):
            convert(tmp_path / source, tmp_path / target, lambda: stream(model), JOB)
    assert {path.name for path in tmp_path.iterdir()} == before
    assert (tmp_path / "there.mp4").read_bytes() == b"kept"


def test_a_film_that_is_stored_lying_down_comes_out_upright(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    write_clip(path, frames=6, sound=False)
    stored = to_rgb(frames_of(path)[0])
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the track header's matrix: a quarter turn clockwise
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 240 << 16, 0, 1 << 30)
    path.write_bytes(data)
    with open_film(path) as film:
        upright = to_rgb(next(read_frames(film, None)))
    assert (upright == np.rot90(stored, -1)).mean() > 0.9
    convert(path, tmp_path / "out.mp4", lambda: stream(model), JOB)
    assert to_rgb(frames_of(tmp_path / "out.mp4")[0]).shape == (320, 240, 3)


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_other_containers_hold_it_too(model: Model, tmp_path: Path, suffix: str) -> None:
    write_clip(tmp_path / "in.mp4", frames=8)
    convert(tmp_path / "in.mp4", tmp_path / f"out{suffix}", lambda: stream(model), JOB)
    assert len(frames_of(tmp_path / f"out{suffix}")) == 8
    assert packets_of(tmp_path / f"out{suffix}", "audio")


def test_a_film_without_sound_becomes_webm(model: Model, tmp_path: Path) -> None:
    write_clip(tmp_path / "in.mp4", frames=8, sound=False)
    convert(tmp_path / "in.mp4", tmp_path / "out.webm", lambda: stream(model), JOB)
    assert len(frames_of(tmp_path / "out.webm")) == 8
