"""A jax.profiler trace of a few warm steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

if TYPE_CHECKING:
    from jaxcnn.training.state import State


# The trace begins after this many steps of a start, when everything is compiled and warm.
WARM = 5


class Trace:
    """Traces `steps` steps, rounded up to chunks, into a folder; 0 steps trace nothing. A shorter run ends it early.

    Args:
      folder: where the trace goes.
      steps: how many.
    """

    def __init__(self, folder: Any, steps: int) -> None:
        self.folder, self.steps, self.running = folder, steps, False
        self.end: Any = None

    def advance(self, before: int, done: int, state: State) -> bool:
        """After the chunk that took this start from `before` to `done` steps; True where it ended the trace."""
        if not self.steps:
            return False
        if before < WARM <= done:
            jax.block_until_ready(state)
            jax.profiler.start_trace(str(self.folder))
            self.running, self.end = True, done + self.steps
        elif self.running and done >= self.end:
            jax.block_until_ready(state)
            return self.close()
        return False

    def close(self) -> bool:
        """Writes the trace if one is running, and says whether it did."""
        if self.running:
            jax.profiler.stop_trace()
        ended, self.running = self.running, False
        return ended
