"""Networks and losses on tensors; never pictures."""
