"""Promise 7 of the design: files appear whole or not at all, existing ones stay, the input is never written."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from facefill.errors import InputError
from facefill.files import photo as photo_module
from facefill.files.photo import Photo, check_output, encode_photo, format_of, read_photo, write_photo

from . import photo_files as files


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    (tmp_path / "photo.png").write_bytes(files.coded(files.image("RGB"), "PNG"))
    return read_photo(tmp_path / "photo.png")


def write(photo: Photo, path: Path | str, **options: bool) -> tuple[str, ...]:
    mask = np.zeros(photo.pixels.shape[:2], bool)
    mask[3:9, 4:12] = True
    return write_photo(photo, 255 - photo.pixels, mask, path, **options)


def refusal(photo: Photo, path: Path | str, **options: bool) -> InputError:
    with pytest.raises(InputError) as caught:
        write(photo, path, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_suffix_decides_the_format(photo: Photo, tmp_path: Path) -> None:
    for suffix, name in (
        (".JPG", "JPEG"),
        (".jpeg", "JPEG"),
        (".png", "PNG"),
        (".tif", "TIFF"),
        (".bmp", "BMP"),
        (".webp", "WEBP"),
    ):
        write(photo, str(tmp_path / f"out{suffix}"))
        assert files.opened((tmp_path / f"out{suffix}").read_bytes()).format == name


def test_an_unknown_suffix_is_refused_with_the_nearest(photo: Photo, tmp_path: Path) -> None:
    assert ".jpeg" in refusal(photo, tmp_path / "out.jpegg").fix
    assert ".gif" in refusal(photo, tmp_path / "out.gif").got
    refusal(photo, tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["photo.png"]
    assert format_of("a.webp") == "WEBP"


def test_an_existing_file_needs_overwrite(photo: Photo, tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"mine")
    assert "--overwrite" in refusal(photo, tmp_path / "out.png").fix
    assert (tmp_path / "out.png").read_bytes() == b"mine"
    write(photo, tmp_path / "out.png", overwrite=True)
    assert files.opened((tmp_path / "out.png").read_bytes()).size == (53, 37)


@pytest.mark.parametrize("way", ["same", "dots", "symlink", "hardlink"])
def test_the_photo_itself_is_never_written(photo: Photo, tmp_path: Path, way: str) -> None:
    before = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "folder").mkdir()
    target = {"same": "photo.png", "dots": "folder/../photo.png"}.get(way, "other.png")
    if way == "symlink":
        (tmp_path / target).symlink_to(tmp_path / "photo.png")
    if way == "hardlink":
        os.link(tmp_path / "photo.png", tmp_path / target)
    assert "the input itself" in refusal(photo, tmp_path / target, overwrite=True).got
    assert (tmp_path / "photo.png").read_bytes() == before


def test_a_folder_or_a_missing_one_is_refused(photo: Photo, tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    assert "the folder" in refusal(photo, tmp_path / "out.png", overwrite=True).got
    assert "existing folder" in refusal(photo, tmp_path / "none" / "out.png").expected
    assert "existing folder" in refusal(photo, tmp_path / "photo.png" / "out.png").expected


def failing(number: int) -> object:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_leaves_nothing_half_written(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "out.png").write_bytes(b"mine")
    monkeypatch.setattr(photo_module.os, "fsync", failing(number))  # type: ignore[attr-defined]
    assert os.strerror(number) in refusal(photo, tmp_path / "out.png", overwrite=True).got
    assert sorted(os.listdir(tmp_path)) == ["out.png", "photo.png"]
    assert (tmp_path / "out.png").read_bytes() == b"mine"


def test_a_folder_that_cannot_be_written_is_refused(
    photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "write_bytes", failing(errno.EACCES))
    assert "Permission denied" in refusal(photo, tmp_path / "out.png").got
    assert os.listdir(tmp_path) == ["photo.png"]


def test_the_longest_name_that_a_folder_takes_can_be_written(photo: Photo, tmp_path: Path) -> None:
    name = "\N{GRINNING FACE}" * 62 + ".png"
    write(photo, tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["photo.png", name]


def test_an_interrupted_write_leaves_nothing(photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(photo_module.os, "replace", interrupt)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        write(photo, tmp_path / "out.png")
    assert os.listdir(tmp_path) == ["photo.png"]


def test_a_path_can_be_checked_before_any_work(photo: Photo, tmp_path: Path) -> None:
    check_output(tmp_path / "out.png", inputs=[tmp_path / "photo.png"])
    with pytest.raises(InputError):
        check_output(tmp_path / "photo.png", inputs=[tmp_path / "photo.png"], overwrite=True)


def test_a_new_file_has_the_permissions_of_any_other(photo: Photo, tmp_path: Path) -> None:
    write(photo, tmp_path / "out.png")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "out.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(("format", "side"), [("JPEG", 65_501), ("WEBP", 16_384), ("AVIF", 32_769), ("HEIF", 16_385)])
def test_sides_beyond_what_a_format_holds_are_one_line(format: str, side: int) -> None:
    wide = files.picture(1, side)
    for photo in (read_photo(wide), read_photo(wide.swapaxes(0, 1))):
        with pytest.raises(InputError, match=f"for {format}"):
            encode_photo(photo, photo.pixels, np.ones(photo.pixels.shape[:2], bool), format=format)


@pytest.mark.parametrize(("format", "side"), [("JPEG", 65_500), ("WEBP", 16_383), ("AVIF", 32_768)])
def test_the_longest_sides_that_a_format_holds_are_read_again(format: str, side: int) -> None:
    wide = read_photo(np.zeros((1, side, 3), np.uint8))
    result, _ = encode_photo(wide, wide.pixels, np.ones((1, side), bool), format=format)
    assert read_photo(result).pixels.shape == (1, side, 3)


def test_what_an_encoder_does_not_take_is_one_line() -> None:
    pytest.importorskip("pillow_heif")
    thin = read_photo(np.zeros((1, 5000, 3), np.uint8))
    with pytest.raises(InputError, match="a picture that HEIF can hold, got 5000 x 1"):
        encode_photo(thin, thin.pixels, np.ones((1, 5000), bool), format="HEIF")


def test_16_bits_wider_than_a_png_holds_are_one_line() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((1, 1_000_001), np.uint16), photometric="minisblack")
    wide = read_photo(stream.getvalue())
    mask = np.ones(wide.pixels.shape[:2], bool)
    with pytest.raises(InputError, match="1,000,000 pixels for a PNG of 16 bits"):
        encode_photo(wide, wide.pixels, mask, format="PNG")
    assert encode_photo(wide, wide.pixels, mask)[0]


def test_the_notes_come_back(photo: Photo, tmp_path: Path) -> None:
    assert any("codes with loss" in note for note in write(photo, tmp_path / "out.jpg"))


def test_a_completed_picture_of_another_shape_is_a_bug_of_the_caller(photo: Photo) -> None:
    with pytest.raises(ValueError, match="the photo"):
        encode_photo(photo, photo.pixels[1:], np.zeros(photo.pixels.shape[:2], bool))
    with pytest.raises(ValueError, match="the photo"):
        encode_photo(photo, photo.pixels, np.zeros((3, 3), bool))
