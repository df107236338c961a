"""The weights that ship, on the example photos: the promises of a stranger's first command."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d

import facefill
from facefill import catalog
from facefill.errors import InputError
from facefill.files.photo import read_photo
from facefill.imaging.crop import Crop
from facefill.methods.opened import read_weights
from facefill.nets.hints import CHEEKS, FACTOR, colour_of, in_small, kind_of, see_mouth
from facefill.runtime.helpers import open_cover, open_finder
from facefill.runtime.inpainter import open_inpainter
from facefill.runtime.model import grey_holes

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.jpg"))
LIMITS_MB = {
    "swift": 24,
    "camera": 4,
    "cover": 8,
    "finder": 1.5,
    "second_look": 4,
    "context_encoder": 8,
    "contextual_attention": 8,
    "masked_gan": 10,
    "latent_search": 11,
}


@pytest.mark.parametrize("name", sorted(catalog.shipped_weights()))
def test_every_shipped_file_is_what_the_list_says(name: str) -> None:
    path, sha256 = catalog.find_weights(name)
    assert catalog.file_hash(path) == sha256
    assert path.stat().st_size < LIMITS_MB[name] * 1e6
    data = path.read_bytes()
    assert b'File "' not in data, "the exporter's notes name files of its machine"
    assert b"/home/" not in data
    assert b"perceptual_net" not in data, "a path of the training machine"
    assert (ROOT / "weights" / f"{name}.md").is_file()


METHODS_THAT_RUN = [
    name
    for name, entry in catalog.shipped_weights().items()
    if entry.method in catalog.METHODS and entry.file.endswith(".onnx")
]


@pytest.mark.parametrize("name", METHODS_THAT_RUN)
def test_every_shipped_method_s_file_says_itself_what_it_takes(name: str) -> None:
    """So that an installation whose catalog is another one shows it the same and blends it the same."""
    said = {
        pair.key: pair.value
        for pair in onnx.load(catalog.find_weights(name)[0], load_external_data=False).metadata_props
    }
    record = catalog.Record.model_validate_json(said["facefill.record"])
    known = catalog.METHODS[catalog.shipped_weights()[name].method]
    for key in ("name", "inputs", "stride", "hole_value", "blend", "size_px", "fixed_size"):
        assert getattr(record, key) == getattr(known, key), key


def test_the_default_and_both_helpers_ship() -> None:
    assert set(LIMITS_MB) <= set(catalog.shipped_weights())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_unmask_takes_the_cover_off_offline_and_leaves_the_rest(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("nothing is fetched")

    monkeypatch.setattr(socket, "socket", connect)
    before = read_photo(path).pixels
    result = facefill.unmask(path)
    assert len(result.faces) == 1
    assert (result.photo[~result.mask] == before[~result.mask]).all()
    assert 0.005 < result.mask.mean() < 0.1
    difference = np.abs(result.photo.astype(int) - before)[result.mask].mean()
    assert difference > 15
    result.save(tmp_path / "out.png")
    assert (read_photo(tmp_path / "out.png").pixels == result.photo).all()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_camera_s_quick_look_finds_the_cover_that_a_photo_s_look_finds(path: Path) -> None:
    photo, cover = read_photo(path).pixels, open_cover(threads=1)
    (face,) = open_finder(threads=1).find(photo)
    one, other = (found.mask(photo.shape) for found in (cover.find(photo, [face])[0], cover.find_quickly(photo, face)))
    overlap = np.sum(one & other) / np.sum(one | other)
    assert overlap > 0.9, "0.94 to 0.96 on these four"


def test_the_whole_command_in_a_process_of_its_own(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(EXAMPLES[-1].read_bytes())
    words = [sys.executable, "-m", "facefill", "unmask", str(photo), "--save-mask", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    row = json.loads(done.stdout)
    assert [face["completed_px"] > 0 for face in row["faces"]] == [True]
    assert (tmp_path / "photo-unmasked.jpg").is_file()
    mask = np.asarray(Image.open(tmp_path / "photo-unmasked-mask.png").convert("L")) > 127
    assert mask.sum() == row["completed_px"]
    again = subprocess.run(words, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1


def test_same_bytes_whatever_shares_the_batch() -> None:
    inpainter = open_inpainter("swift", threads=1)
    plans = [inpainter.plan_unmask(read_photo(path)) for path in EXAMPLES[:3]]
    together = inpainter.run(plans)
    for plan, drawn in zip(plans, together, strict=True):
        assert (inpainter.run([plan])[0].photos[0] == drawn.photos[0]).all()


def test_exact_agrees_across_engines_within_one_level() -> None:
    from facefill.runtime.engine import engine_kinds
    from facefill.runtime.model import OnnxModel

    path, sha256 = catalog.find_weights("swift")
    face = np.asarray(Image.open(EXAMPLES[0]).convert("RGB").crop((130, 20, 322, 212)).resize((192, 192)))[None]
    mask = np.zeros((1, 192, 192), bool)
    mask[:, 90:160, 50:140] = True
    got = [
        OnnxModel(catalog.METHODS["swift"], kind(path), sha256).complete(face, mask).astype(int)
        for kind in engine_kinds().values()
    ]
    assert len(got) == 2
    assert np.abs(got[0] - got[1]).max() <= 1


def test_masked_gan_sees_the_cover_and_samples_are_not_the_same() -> None:
    inpainter = open_inpainter("masked_gan", threads=1)
    plan = inpainter.plan_unmask(read_photo(EXAMPLES[-1]))
    faces, masks = (layer[None] for layer in plan.crops[0])
    model = inpainter.model
    worn = plan.worn(plan.tasks[0], masks[0])[None]
    one, other = model.complete(faces, masks, seeds=[0], samples=2, worn=worn)[0]
    hidden = model.complete(faces, masks, seeds=[0], worn=grey_holes(faces, masks))[0, 0]
    assert (one[~masks[0]] == faces[0][~masks[0]]).all()
    hole = masks[0]
    assert (one != other)[hole].mean() > 0.1
    assert np.abs(one.astype(int) - hidden)[hole].mean() > 1
    assert np.abs(one.astype(int) - faces[0])[hole].mean() > 15


def test_samples_of_swift_are_closed_smiling_and_open_mouths_in_one_skin() -> None:
    inpainter = open_inpainter("swift", threads=1)
    plan = inpainter.plan_unmask(read_photo(ROOT / "examples/astronaut-respirator.jpg"))
    crop = Crop.around_face(plan.faces[0].landmarks, 256)
    points = torch.from_numpy(crop.to_crop(plan.faces[0].landmarks)).float().expand(8, 5, 2)
    drawn = torch.from_numpy(np.stack([crop.take(photo) for photo in inpainter.run([plan], samples=8)[0].photos]))
    small = avg_pool2d(drawn.movedim(3, 1) / 127.5 - 1, FACTOR)
    closed, smiling, _ = kind_of(small, points).sum(0).tolist()
    assert closed >= 2
    assert smiling >= 2
    assert see_mouth(small, points)[:, 0].min() < -0.7  # dark inside
    mouth, wide = in_small(points[:, 3:].mean(1)), (points[:, 4] - points[:, 3]) / FACTOR
    cheeks = torch.stack([colour_of(small, mouth, wide, cheek) for cheek in CHEEKS]) * 127.5
    assert (cheeks - cheeks[:, :1]).abs().max() < 20


@pytest.mark.parametrize("name", ["latent_search", "dip"])
def test_the_search_completes_a_face_and_knows_its_constants(name: str) -> None:
    path, _ = catalog.find_weights("latent_search")
    tensors, about = read_weights(path)
    c_min, c_max, s_min, s_max = tensors["bounds"].float().tolist()
    assert about["bounds"] == pytest.approx([c_min, c_max, s_min, s_max], rel=1e-3)
    assert c_min < 2000 < c_max, "mean L1 of two faces of 64 px"
    assert -0.2 < s_min < s_max < 1
    face = np.asarray(Image.open(EXAMPLES[0]).convert("RGB").crop((130, 20, 322, 212)).resize((64, 64)))[None]
    mask = np.zeros((1, 64, 64), bool)
    mask[:, 20:44, 20:44] = True
    filled = facefill.load(name, threads=1).fill(face, mask, [0], range(1), {})[:, 0]
    mean = ((tensors["mean_face"].float() + 1) * 127.5).permute(1, 2, 0).numpy()
    near = np.zeros((64, 64), bool)
    near[17:47, 17:47] = True  # dip weighs only what is known within 3 px of the hole
    ours, plain = (np.abs(picture - face[0].astype(float))[near & ~mask[0]].mean() for picture in (filled[0], mean))
    assert ours < plain


def test_a_hole_that_the_user_drew_on_and_off_a_face() -> None:
    photo = read_photo(EXAMPLES[0]).pixels
    mask = np.zeros(photo.shape[:2], bool)
    mask[100:112, 200:240] = True
    mask[400:440, 20:60] = True
    result = facefill.complete(photo, mask)
    assert (result.mask == mask).all()
    assert (result.photo[~mask] == photo[~mask]).all()
    assert (result.photo != photo).any(-1)[mask].mean() > 0.5


def test_a_grey_photo_stays_grey() -> None:
    grey = np.asarray(Image.open(EXAMPLES[-1]).convert("L").convert("RGB"))
    result = facefill.unmask(grey)
    completed = result.photo[result.mask].astype(int)
    assert np.ptp(completed, axis=1).max() <= 2
    assert np.abs(completed - grey[result.mask]).mean() > 15


def test_a_photo_without_a_face_and_one_without_a_cover() -> None:
    grey = np.full((300, 400, 3), 128, np.uint8)
    with pytest.raises(InputError, match="a photo with a face"):
        facefill.unmask(grey)
    from skimage.data import astronaut

    with pytest.raises(InputError, match="nothing covers"):
        facefill.unmask(astronaut())


def test_damaged_or_missing_weights_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("swift.onnx", "weights.toml"):
        (tmp_path / name).write_bytes((catalog.weights_folder() / name).read_bytes())
    monkeypatch.setattr(catalog, "weights_folder", lambda: tmp_path)
    data = bytearray((tmp_path / "swift.onnx").read_bytes())
    data[-1000] ^= 1
    (tmp_path / "swift.onnx").write_bytes(data)
    with pytest.raises(InputError, match="SHA-256"):
        facefill.load("swift")
    (tmp_path / "swift.onnx").unlink()
    with pytest.raises(InputError, match="no such file"):
        facefill.load("swift")
