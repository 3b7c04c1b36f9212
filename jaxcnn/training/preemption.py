"""Being told to end, by a cluster (SIGTERM) or a person (Ctrl-C): the loop saves its state and stops."""

import signal
import threading

import jax
from jax.experimental import multihost_utils


class Preempted(Exception):
    """The process was told to end; the state is saved and the same command resumes.

    Attributes:
      signal: signal.SIGTERM or signal.SIGINT.
    """

    def __init__(self, message, signal):
        super().__init__(message)
        self.signal = signal


class Termination:
    """A context in which SIGTERM, and the first Ctrl-C, only take note; `pending()` reads it.

    Of several processes all agree on the step at which they stop, as JAX's coordination service has it.
    """

    def __init__(self):
        self.received, self._old, self._calls = None, {}, 0

    def __enter__(self):
        if jax.process_count() == 1 and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, number, _):
        if number == self.received == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def pending(self):
        """Whether to stop here; called after every chunk, equally often by all processes."""
        self._calls += 1  # JAX waits for exactly the number after the highest it has seen; steps would skip it
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(self._calls):
            self.received = signal.SIGTERM
        return self.received is not None
