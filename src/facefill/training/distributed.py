"""One run on several processes, started by torchrun. Alone, every function here does nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class World:
    """All processes of a run, as one of them sees them."""

    device: torch.device
    rank: int = 0
    """This one's number; 0 is the only one that writes."""
    size: int = 1
    """How many there are, on all machines."""
    local: int = 0
    """This one's number on its machine."""

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()

    def share(self, begin: int, end: int) -> range:
        """Which of a batch's pictures, the places `begin` to `end` of the run's order, this process takes. The shares
        lie behind one another in the order of the ranks and differ by at most one."""
        count = end - begin
        return range(begin + count * self.rank // self.size, begin + count * (self.rank + 1) // self.size)

    def mean(self, sums: dict[str, float], counts: dict[str, float]) -> dict[str, float]:
        """The mean of each term over the pictures of all processes; all must have the same terms."""
        values = torch.tensor([[sums[name], counts[name]] for name in sums], dtype=torch.float64, device=self.device)
        if self.size > 1:
            dist.all_reduce(values)
        return {name: float(total / count) for name, (total, count) in zip(sums, values.tolist(), strict=True)}


@contextmanager
def join() -> Iterator[World]:
    """The world that torchrun's variables describe (gloo between processors, nccl between GPUs), or this process
    alone. A process that fails leaves without waiting for the others: torchrun then ends those."""
    local = int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if "RANK" not in os.environ:
        yield World(device)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    yield World(device, dist.get_rank(), dist.get_world_size(), local)
    dist.destroy_process_group()


def share_threads(total: int) -> None:
    """Compute with this process's part of its machine's threads (torchrun's LOCAL_WORLD_SIZE), at least with one.

    total: threads of all processes of the machine, 1 or more.
    """
    torch.set_num_threads(max(1, total // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))


class Turn(nn.Module):
    """One player's turn as a module, so that DistributedDataParallel sees what it has to add up over the processes."""

    def __init__(self, method: Any, player: str) -> None:
        super().__init__()
        self.method, self.player = method, player

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self.method.losses(self.player, batch)
        return terms


def free_only(method: nn.Module, player: nn.Module) -> None:
    """Let gradients reach this player's parameters and no others."""
    method.requires_grad_(False)
    player.requires_grad_(True)


def wrap_turns(method: Any, players: dict[str, nn.Module], world: World) -> dict[str, nn.Module]:
    """Each player's turn; of several processes their gradients come out as the mean over the processes."""
    turns: dict[str, nn.Module] = {}
    for name, player in players.items():
        turns[name] = Turn(method, name)
        if world.size > 1:
            free_only(method, player)  # the wrapper looks after what is free when it is made
            parallel = DistributedDataParallel(turns[name])
            parallel.broadcast_buffers = False  # torch 2.13 warns of the argument and has no other for all versions
            turns[name] = parallel
    return turns


def apart(turn: nn.Module, last: bool) -> Any:
    """The context of one part of a batch: gradients are added up over the processes behind the last part only."""
    return nullcontext() if last or not isinstance(turn, DistributedDataParallel) else turn.no_sync()
