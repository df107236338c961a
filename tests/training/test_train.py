"""The loop: it learns, resumes as if it had never stopped, and says what is wrong with a recipe."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from facefill.commands.cli import main
from facefill.config import build
from facefill.errors import InputError
from facefill.methods import CLASSES
from facefill.training import train as loop
from facefill.training.checkpoint import load_newest, load_weights, save_state, save_weights
from facefill.training.data import batches, plan_steps, to_batch
from facefill.training.export import open_method
from facefill.training.log import RunLog
from facefill.training.recipe import Recipe, build_method, open_source, read_recipe
from facefill.training.train import _remember, train
from tests.toy_datasets import write_dataset

ROOT = Path(__file__).parents[2]
SMALL = {
    "small_widths": [8, 16],
    "detail_widths": [8, 16],
    "bottom_dilations": [1],
    "critic_widths": [8, 8, 8],
    "detail_critic_widths": [8, 8, 8],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def recipe(folder: Path, images: int = 48, **train: Any) -> Recipe:
    stages = [{"side_px": 64, "images": 16, "batch": 4}, {"side_px": 96, "images": images - 16, "batch": 4}]
    return build(
        Recipe,
        {
            "method": "swift",
            "model": SMALL,
            "data": {
                "folder": folder,
                "cache": folder / "cache",
                "side_px": 64,
                "validation_images": 2,
                "workers": 0,
                "holes": {"centre": 1, "worn": 1},
            },
            "train": {
                "stages": stages,
                "eval_images": 16,
                "ema_images": 64,
                "warmup_images": 4,
                "bf16": False,
                **train,
            },
        },
        "test",
    )


def tensors_of(run: Path) -> dict[str, torch.Tensor]:
    state = load_newest(run)
    assert state is not None
    average: dict[str, torch.Tensor] = state["average"]
    return average


def test_a_run_that_was_cut_ends_as_if_it_had_not_been(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(recipe(folder), tmp_path / "whole")
    saved = loop.save_state  # type: ignore[attr-defined]

    def cut(run: Path, shown: int, state: dict[str, Any]) -> None:
        saved(run, shown, state)
        if shown == 32:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_state", cut)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(folder), tmp_path / "cut")
    monkeypatch.setattr(loop, "save_state", saved)
    again = train(recipe(folder), tmp_path / "cut")
    a, b = tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "cut")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert whole.read_bytes() == again.read_bytes()


def test_a_run_in_bfloat16_is_validated_in_float32(folder: Path, tmp_path: Path) -> None:
    """Validation draws the whole picture, whose last steps bfloat16 would spoil, as no completion does."""
    path = train(recipe(folder, 32, bf16=True), tmp_path / "run")
    score = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])["score"]
    source = open_source(recipe(folder))
    method = open_method(path)
    with torch.no_grad():
        scores = [
            method.score(to_batch(raw, method, torch.device("cpu")))
            for raw in batches(source.validation, plan_steps(0, source.validation_images, 20, [96]), 0)
        ]
    assert float(torch.cat(scores).mean()) == pytest.approx(score, abs=0.02), "weights are rounded to float16"


def test_the_log_has_every_term_and_the_weights_say_what_they_are(folder: Path, tmp_path: Path) -> None:
    path = train(recipe(folder, 32), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["shown"] for line in lines] == [16, 32]
    assert {"l1", "critic", "adversarial", "mirror", "score", "images_per_s"} <= set(lines[-1])
    sheets = sorted(file.name for file in (tmp_path / "run" / "samples").iterdir())
    assert sheets == ["000000016.png", "000000032.png"]
    best = load_weights(tmp_path / "run" / "best.safetensors")[1]
    assert best["score"] == pytest.approx(max(line["score"] for line in lines), abs=1e-5)
    tensors, about = load_weights(path, "swift")
    assert about["images"] == 32
    assert about["config"]["small_widths"] == SMALL["small_widths"]
    assert all(value.dtype == torch.float16 for value in tensors.values())
    with pytest.raises(InputError, match=r"weights of cover, got weights\.safetensors of swift"):
        load_weights(path, "cover")


def normalised(folder: Path, **train: Any) -> Recipe:
    stages = ({"side_px": 64, "images": 48, "batch": 4},)
    base = recipe(folder, stages=stages, **train).model_dump()
    model = {"widths": (4,) * 6, "batch_norm": True}
    return build(Recipe, {**base, "method": "context_encoder", "model": model}, "test")


def test_batch_normalised_weights_score_as_they_will_at_inference(folder: Path, tmp_path: Path) -> None:
    """Picture by picture, with the statistics that the file holds, whatever shared the loop's batch."""
    found = normalised(folder)
    path = train(found, tmp_path / "run")
    source, method = open_source(found), open_method(path)
    raws = batches(source.validation, plan_steps(0, source.validation_images, 1, [64]), 0)
    with torch.no_grad():
        scores = torch.cat([method.score(to_batch(raw, method, torch.device("cpu"))) for raw in raws])
    logged = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])["score"]
    assert float(scores.mean()) == pytest.approx(logged, abs=0.01)
    tensors = load_weights(path)[0]
    counts = {int(value) for name, value in tensors.items() if name.endswith("num_batches_tracked")}
    assert counts == {24}  # twelve steps of two turns; the loop's three validations are not among them


def test_validation_changes_nothing_of_what_is_learned(folder: Path, tmp_path: Path) -> None:
    train(normalised(folder), tmp_path / "often")
    train(normalised(folder, eval_images=1000), tmp_path / "stages only")
    often, seldom = (load_newest(tmp_path / name) for name in ("often", "stages only"))
    assert often is not None
    assert seldom is not None
    assert all(torch.equal(value, seldom["method"][name]) for name, value in often["method"].items())


def test_it_starts_from_given_weights(folder: Path, tmp_path: Path) -> None:
    path = train(recipe(folder, 32), tmp_path / "first")
    second = recipe(folder, 32).model_copy(update={"init": path})
    train(second, tmp_path / "second")
    first_line = json.loads((tmp_path / "second" / "log.jsonl").read_text().splitlines()[0])
    cold = json.loads((tmp_path / "first" / "log.jsonl").read_text().splitlines()[0])
    assert first_line["l1"] < cold["l1"]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_pictures(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        CLASSES["swift"], "losses", lambda self, player, batch: {"l1": batch["truth"].sum() * float("nan")}
    )
    with pytest.raises(InputError, match="l1 that is not"):
        train(recipe(folder), tmp_path / "run")
    assert len((tmp_path / "run" / "not-finite.txt").read_text().splitlines()) == 4


def test_another_recipe_in_the_same_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    train(recipe(folder, 20), tmp_path / "run")
    with pytest.raises(InputError, match="choose another folder"):
        train(recipe(folder, 24), tmp_path / "run")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.toml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_a_dry_run_prints_all_that_they_resolve_to(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["facefill", "train", str(path), "--dry-run", "--set", "train.seed=7"])
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    printed = json.loads(capsys.readouterr().out)
    assert printed["train"]["seed"] == 7
    method = build_method(printed["method"], printed["model"])
    assert method.config.model_dump(mode="json") == printed["model"]


@pytest.mark.parametrize(
    ("name", "faces", "kept"),
    [
        ("context_encoder", 20 * 704 * 64, None),
        ("contextual_attention", 10_000 * 16 * 6, 2000),
        ("contextual_attention_epochs", 10_000 * 28_000, 2000),
        ("masked_gan", 200_000, 3030),
        ("latent_search", None, 2000),
    ],
)
def test_the_papers_set_ups_show_as_many_faces_as_they_say(name: str, faces: int | None, kept: int | None) -> None:
    found = read_recipe(ROOT / "configs" / "paper" / f"{name}.toml", [])
    assert faces in (None, sum(stage.images for stage in found.train.stages))
    assert found.data is not None
    assert kept in (None, found.data.validation_images)


def test_unknown_keys_are_guessed(folder: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'adversarial'"):
        build_method("swift", {"adverserial": 1})
    with pytest.raises(InputError, match="did you mean 'seed'"):
        read_recipe(ROOT / "configs" / "swift.toml", ["train.sed=1"])


def test_weights_of_others_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="header"):
        load_weights(tmp_path / "foreign.safetensors")
    save_weights(tmp_path / "ours.safetensors", {"a": torch.zeros(1)}, {"method": "swift", "config": {}})
    assert load_weights(tmp_path / "ours.safetensors")[1] == {"method": "swift", "config": {}}


def test_damaged_lines_of_a_log_go_with_those_that_a_cut_run_repeats(tmp_path: Path) -> None:
    lines = [b'{"shown": 8}', b'{"sho', b"\xff\0", b"[]", b"{}", b'{"shown": 16}', b'{"shown": 24}']
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(lines))
    with RunLog(tmp_path, 16, 32) as log:
        log.write(32, {"loss": 0.5})
    kept = [json.loads(line)["shown"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert kept == [8, 16, 32]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe"])
def test_a_damaged_recipe_beside_a_run_takes_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(InputError, match=r"a whole .*config\.json, got a damaged one") as error:
        _remember(read_recipe(ROOT / "configs" / "swift.toml", []), tmp_path / "config.json")
    assert "\n" not in str(error.value)
    assert (tmp_path / "config.json").read_bytes() == data


def test_the_last_two_states_stay_and_a_damaged_one_is_passed_over(tmp_path: Path, capsys: Any) -> None:
    for shown in (1, 2, 3):
        save_state(tmp_path, shown, {"shown": shown, "tensor": torch.ones(3)})
    newest, older = sorted(tmp_path.glob("state-*.pt"), reverse=True)
    data = bytearray(newest.read_bytes())
    data[40] ^= 1
    newest.write_bytes(data)
    state = load_newest(tmp_path)
    assert state is not None
    assert state["shown"] == 2
    said = capsys.readouterr().err
    assert said == "damaged: state-0000000003.pt; going on from state-0000000002.pt\n"
    older.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"a whole state in .*, got damaged ones: state-0000000003\.pt, state-0000000002\.pt"
    ) as error:
        load_newest(tmp_path)
    assert "\n" not in str(error.value)
    assert capsys.readouterr().err == ""
    for path in tmp_path.glob("state-*.pt"):
        path.unlink()
    assert load_newest(tmp_path) is None


def test_a_full_disk_while_saving_is_one_line_and_the_state_before_stays(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(recipe(folder), tmp_path / "whole")
    written: list[Path] = []
    write = Path.write_bytes

    def fill(path: Path, data: bytes) -> int:
        written.extend([path] if path.suffix == ".pt" else [])
        if len(written) == 2:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fill)
    run = tmp_path / "run"
    with pytest.raises(InputError, match=r"state-0000000032\.pt \(No space left"):
        train(recipe(folder), run)
    assert [path.name for path in run.glob("*state-*")] == ["state-0000000016.pt"]
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []
    monkeypatch.setattr(Path, "write_bytes", write)
    assert train(recipe(folder), run).read_bytes() == whole.read_bytes()


def test_accumulated_gradients_are_those_of_the_whole_batch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The centre hole is as large in every picture, so that the parts of a batch weigh the same. Gradients of the first
    turn are compared, not weights: Adam turns the rounding of a gradient near zero into a whole step."""
    clip = torch.nn.utils.clip_grad_norm_
    seen: list[torch.Tensor] = []

    def noted(parameters: Any, limit: float) -> torch.Tensor:
        kept = list(parameters)
        seen.append(torch.cat([parameter.grad.flatten() for parameter in kept]).clone())
        return clip(kept, limit)

    def once(name: str, accumulate: int) -> torch.Tensor:
        base = recipe(folder).model_dump()
        base["data"]["holes"] = {"centre": 1}
        base["model"] = {**SMALL, "adversarial": 0.0}
        base["train"]["stages"] = [{"side_px": 64, "images": 8, "batch": 4, "accumulate": accumulate}]
        seen.clear()
        train(build(Recipe, base, "test"), tmp_path / name)
        return seen[0]

    monkeypatch.setattr(loop.nn.utils, "clip_grad_norm_", noted)  # type: ignore[attr-defined]
    whole, parts = once("whole", 1), once("parts", 2)
    assert float(whole.norm()) > 0
    assert float((whole - parts).norm() / whole.norm()) < 1e-4


def test_the_critic_may_take_more_turns_and_the_generator_gets_a_fresh_batch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[tuple[str, int]] = []
    losses = CLASSES["swift"].losses

    def counted(self: Any, player: str, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        turns.append((player, int(batch["seed"][0])))
        return losses(self, player, batch)

    monkeypatch.setattr(CLASSES["swift"], "losses", counted)
    train(recipe(folder, 32, critic_turns=3), tmp_path / "run")
    critics, others = ["critic_small", "critic_detail"], ["small", "detail"]
    assert [player for player, _ in turns] == 2 * (3 * critics + others)
    assert len({seed for _, seed in turns}) == 8


def test_a_stage_names_who_learns_in_it_and_changes_settings(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[tuple[str, float]] = []
    losses = CLASSES["swift"].losses

    def noted(self: Any, player: str, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        turns.append((player, self.config.adversarial))
        return losses(self, player, batch)

    monkeypatch.setattr(CLASSES["swift"], "losses", noted)
    stages = [
        {"side_px": 64, "images": 8, "batch": 4, "players": ["small"], "model": {"adversarial": 0.0}},
        {"side_px": 64, "images": 8, "batch": 4, "players": ["critic_detail", "detail"]},
    ]
    train(recipe(folder, stages=stages), tmp_path / "run")
    assert turns == 2 * [("small", 0.0)] + 2 * [("detail", 0.03), ("critic_detail", 0.03)]
    with pytest.raises(InputError, match="did you mean 'small'"):
        train(recipe(folder, stages=[{**stages[0], "players": ["smal"]}]), tmp_path / "other")
    with pytest.raises(InputError, match="did you mean 'adversarial'"):
        read_recipe(
            ROOT / "configs" / "swift.toml", ["train.stages=[{side_px = 64, images = 8, model = {adverserial = 1}}]"]
        )
