"""Speed as a ratio: the same work done in several ways, interleaved in one process."""
