"""`python -m facefill` and `torchrun -m facefill train ...`."""

from facefill.commands.cli import main

if __name__ == "__main__":
    main()
