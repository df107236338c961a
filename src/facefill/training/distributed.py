"""One run on several processes, started by torchrun. Alone, every function here does nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn


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

    def add_gradients(self, player: nn.Module) -> None:
        """Add up the gradients of a player's parameters over the processes; each has them for the same parameters.

        One sum behind a whole batch, not DistributedDataParallel's while gradients still come: that never lets go of
        its process group (torch 2.13), whose threads then end a process that leaves, one in fifteen.
        """
        if self.size > 1:
            gradients = [value.grad for value in player.parameters() if value.grad is not None]
            flat = torch.cat([gradient.flatten() for gradient in gradients])
            dist.all_reduce(flat)
            parts = torch.split(flat, [gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))


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


def free_only(method: nn.Module, player: nn.Module) -> None:
    """Let gradients reach this player's parameters and no others."""
    method.requires_grad_(False)
    player.requires_grad_(True)
