"""Being told to end, by a cluster (SIGTERM) or a person (Ctrl-C): the loop saves its state and stops."""

import os
import signal
import threading
from typing import Any, Self

import jax

from jaxcnn.training.processes import multihost


class Preempted(Exception):
    """The process was told to end; the state is saved and the same command resumes.

    Attributes:
      signal: signal.SIGTERM or signal.SIGINT.
    """

    def __init__(self, message: str, signal: Any) -> None:
        super().__init__(message)
        self.signal = signal


class Termination:
    """A context in which SIGTERM, and the first Ctrl-C, only take note; `pending()` reads it.

    Of several processes all agree on the step at which they stop, as JAX's coordination service has it; a signal to one
    of them stops all.
    """

    def __init__(self) -> None:
        self.received, self._old, self._calls = None, {}, 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            alone = jax.process_count() == 1  # else JAX takes SIGTERM
            for number in (signal.SIGTERM, signal.SIGINT) if alone else (signal.SIGINT,):
                self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, number, _):
        if number == self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)  # which the service tells the others

    def pending(self) -> bool:
        """Whether to stop here; called after every chunk, equally often by all processes."""
        self._calls += 1  # JAX waits for exactly the number after the highest it has seen; steps would skip it
        if jax.process_count() == 1:
            return self.received is not None
        reached = multihost.reached_preemption_sync_point(self._calls)
        if reached and self.received is None:
            self.received = signal.SIGTERM
        return reached
