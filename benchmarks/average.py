"""The weighted mean of two weights of one method on one path of training (Wortsman et al. 2022, "Model soups").

    python benchmarks/average.py runs/swift/best.safetensors OLD.safetensors 0.35 -o weights/swift.safetensors

The second's share is the number; what it lacks is taken from the first, which also gives configuration and history.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file

from facefill.training.checkpoint import load_weights, save_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("share", type=float)
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    first, about = load_weights(given.first)
    second = load_file(given.second)
    mean = dict(first)
    for name in first.keys() & second.keys():
        mixed = first[name].float() * (1 - given.share) + second[name].float() * given.share
        mean[name] = mixed.to(first[name].dtype)
    save_weights(given.out, mean, about)


if __name__ == "__main__":
    main()
