"""Training: datasets to batches, the loop, checkpoints, export."""
