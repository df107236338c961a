"""`python -m facefill` and `torchrun -m facefill train ...`."""

from facefill.cli import main

if __name__ == "__main__":
    main()
