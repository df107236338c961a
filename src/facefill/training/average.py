"""The weighted mean of two weights of one method on one path of training (Wortsman et al. 2022, "Model soups")."""

from pathlib import Path

from facefill.training.checkpoint import load_weights, save_weights
from facefill.training.history import history_of


def average_weights(first: Path, second: Path, share: float, out: Path) -> None:
    """Write (1 - share) · first + share · second. What the second lacks, configuration and history are the first's.

    Raises InputError for files of other methods.
    """
    tensors, about = load_weights(first)
    others, _ = load_weights(second, about["method"])
    for name in tensors.keys() & others.keys():
        mixed = tensors[name].float() * (1 - share) + others[name].float() * share
        tensors[name] = mixed.to(tensors[name].dtype)
    runs = history_of(first)
    if runs:
        last = "; ".join(filter(None, [runs[-1].note, f"then the mean with {share:.0%} of {second.stem}"]))
        runs = [*runs[:-1], runs[-1].model_copy(update={"note": last})]
    save_weights(out, tensors, about | {"history": [run.model_dump() for run in runs]})
