"""Films: read, completed frame after frame, and written again."""
