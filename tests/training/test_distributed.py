"""Several processes make the same run as one, and a run outlives any of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from typer.testing import CliRunner

from facefill.commands.cli import app
from facefill.errors import InputError
from facefill.training.checkpoint import load_newest
from facefill.training.data import batches, plan_steps
from facefill.training.distributed import World
from facefill.training.recipe import read_recipe
from facefill.training.train import check_batches, train
from tests.toy_datasets import write_dataset

RECIPE = """
method = "swift"
[model]
small_widths = [8, 16]
detail_widths = [8, 16]
bottom_dilations = [1]
critic_widths = [8, 8, 8]
detail_critic_widths = [8, 8, 8]
[data]
folder = {folder!r}
cache = {cache!r}
side_px = 64
validation_images = 2
workers = 0
holes = {{ centre = 1, worn = 1 }}
[train]
stages = [{{ side_px = 64, images = {images}, batch = 5, rate = 1e-3 }}]
eval_images = {every}
ema_images = 64
warmup_images = 4
bf16 = false
"""


def write_recipe(folder: Path, images: int, every: int) -> Path:
    data = folder / "data"
    if not data.is_dir():
        write_dataset(data)
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(folder=str(data), cache=str(data / "cache"), images=images, every=every))
    return path


def command(recipe: Path, run: Path, processes: int, restarts: int = 0) -> list[str]:
    ours = ["facefill", "train", str(recipe), "--run", str(run)]
    if processes == 1:
        return [sys.executable, "-m", *ours]
    return [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
        f"--max-restarts={restarts}",
        "--monitor-interval=0.2",
        "-m",
        "--",
        *ours,
    ]


ALONE = {**os.environ, "OMP_NUM_THREADS": "1", "FACEFILL_THREADS": "1"}


def average_of(run: Path) -> dict[str, torch.Tensor]:
    state = load_newest(run)
    assert state is not None
    average: dict[str, torch.Tensor] = state["average"]
    return average


class Numbers(Dataset[dict[str, Any]]):
    """Item `place, side_px` is the number `place`."""

    def __getitem__(self, item: tuple[int, int]) -> dict[str, Any]:
        return {"index": item[0]}


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_order_does_not_depend_on_the_number_of_processes(size: int) -> None:
    worlds = [World(torch.device("cpu"), rank, size) for rank in range(size)]
    loaders = [batches(Numbers(), plan_steps(3, 25, 5, [8]), 0, world) for world in worlds]
    seen: list[int] = []
    for step, parts in enumerate(zip(*loaders, strict=True)):
        begin = 3 + 5 * step
        end = min(begin + 5, 25)
        for world, part in zip(worlds, parts, strict=True):
            seen += part["index"][: len(world.share(begin, end))].tolist()
    assert seen == list(range(3, 25))


def test_a_process_without_a_share_of_the_last_batch_looks_on() -> None:
    world = World(torch.device("cpu"), 0, 3)
    assert len(world.share(10, 12)) == 0
    assert [part["index"].tolist() for part in batches(Numbers(), plan_steps(7, 12, 3, [8]), 0, world)] == [[7], [10]]


def test_more_processes_than_pictures_in_a_batch_are_refused(tmp_path: Path) -> None:
    recipe = read_recipe(write_recipe(tmp_path, 10, 10), [])
    with pytest.raises(InputError, match="at least 8 pictures for 8 processes, got 5"):
        check_batches(recipe.train, World(torch.device("cpu"), 0, 8))


@pytest.mark.parametrize(("processes", "given", "each"), [("", "3", 3), ("2", "4", 2), ("4", "3", 1)])
def test_the_processes_of_a_machine_share_its_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: str, given: str, each: int
) -> None:
    if processes:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    monkeypatch.setenv("FACEFILL_THREADS", given)
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr("facefill.training.train.train", lambda recipe, run, *_: seen.append(torch.get_num_threads()))
    try:
        done = CliRunner().invoke(app, ["train", str(write_recipe(tmp_path, 10, 10))])
    finally:
        torch.set_num_threads(before)
    assert done.exit_code == 0, done.output
    assert seen == [each]


def test_two_processes_make_the_run_that_one_makes(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, 23, 10)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each of two has: sums in another order differ by more than processes do
    try:
        train(read_recipe(recipe, []), tmp_path / "one")
    finally:
        torch.set_num_threads(threads)
    done = subprocess.run(command(recipe, tmp_path / "two", 2), env=ALONE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = average_of(tmp_path / "one"), average_of(tmp_path / "two")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-6, rtol=0, msg=name)
    logs = [(tmp_path / run / "log.jsonl").read_text().count("\n") for run in ("one", "two")]
    assert logs == [3, 3]


def wait_for_state(run: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 300
    while not list(run.glob("state-*.pt")):
        assert process.poll() is None
        if time.monotonic() > until:
            process.terminate()
            pytest.fail("no state within five minutes")
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.soak
def test_a_dead_process_ends_all_within_30_seconds_and_the_state_stays(tmp_path: Path) -> None:
    recipe, run = write_recipe(tmp_path, 100_000, 20), tmp_path / "run"
    process = subprocess.Popen(command(recipe, run, 2), env=ALONE, stderr=subprocess.DEVNULL)
    wait_for_state(run, process)
    workers = children_of(process.pid)
    os.kill(workers[1], signal.SIGKILL)
    assert process.wait(30) != 0
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert load_newest(run) is not None


@pytest.mark.soak
def test_restarts_carry_on_to_the_same_end(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, 600, 20)
    whole = subprocess.run(command(recipe, tmp_path / "whole", 2), env=ALONE, check=False, capture_output=True)
    assert whole.returncode == 0
    run = tmp_path / "run"
    process = subprocess.Popen(command(recipe, run, 2, restarts=3), env=ALONE, stderr=subprocess.DEVNULL)
    wait_for_state(run, process)
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    assert process.wait(300) == 0
    whole_average, average = average_of(tmp_path / "whole"), average_of(run)
    assert all(torch.equal(whole_average[name], average[name]) for name in average)


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_killed_at_any_moment_ends_as_if_it_had_not_been(tmp_path: Path, seed: int) -> None:
    recipe = write_recipe(tmp_path, 600, 20)
    begun = time.monotonic()
    subprocess.run(command(recipe, tmp_path / "whole", 1), env=ALONE, check=True, capture_output=True)
    took_s = time.monotonic() - begun
    run = tmp_path / "run"
    process = subprocess.Popen(command(recipe, run, 1), env=ALONE, stderr=subprocess.DEVNULL)
    time.sleep(took_s * float(np.random.default_rng(seed).uniform(0.3, 0.95)))
    process.kill()
    process.wait()
    subprocess.run(command(recipe, run, 1), env=ALONE, check=True, capture_output=True)
    for name in ("weights.safetensors", "best.safetensors"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


LEAVING = """
import os, sys, torch
from facefill.training.distributed import join
with join() as world:
    layer = torch.nn.Linear(3, 3)
    layer(torch.ones(2, 3) * (world.rank + 1)).sum().backward()
    world.add_gradients(layer)
    assert layer.weight.grad.flatten().tolist() == [6.0] * 9, layer.weight.grad
threads = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
assert not [name for name in threads if "gloo" in name], threads
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_thread_of_the_group_outlives_it(tmp_path: Path) -> None:
    """Such a thread ends a process that leaves, now and then, with "terminate called without an active exception"."""
    script = tmp_path / "leaving.py"
    script.write_text(LEAVING)
    start = [*command(tmp_path, tmp_path, 2)[:6], str(script)]
    done = subprocess.run(start, env=ALONE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
