"""Runs of a study in processes of their own, one for each device of this machine or several."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from jaxcnn.errors import InputError
from jaxcnn.process import has_accelerator
from jaxcnn.sweeps.worker import WATCH, read_error, write_error

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Run


POLL = 0.05  # seconds between looks at the workers
TOLD_TO_END = 128 + signal.SIGTERM  # exit code of a worker that saved its state: where we did not tell it, another did

# How a process is given one accelerator of several, by backend.
VISIBLE = {"gpu": "CUDA_VISIBLE_DEVICES", "tpu": "TPU_VISIBLE_CHIPS"}
OLD_FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"


class Workers(NamedTuple):
    """Which processes take the runs of a study.

    Attributes:
      command: of a worker, a list of str; the id of its run comes last.
      slots: the environment of each that may run at a time, as `slots` gives them.
      retries: starts more than one for a run whose process died, or was told to end by another than the sweep; one that
        says why it failed is not started again.
    """

    command: list
    slots: list
    retries: int = 0


def slots(jobs: int, *, per_device: int = 1) -> list[dict[str, str]]:
    """The environments of the workers that may run at a time: one for each accelerator, or several on each.

    Args:
      jobs: how many workers in all; 0 for `per_device` on every accelerator, or one where there is none.
      per_device: workers that share an accelerator, each with its part of the memory.
    Returns:
      A list of dicts of environment variables.
    Raises:
      InputError: a number that cannot be.
    """
    if jobs < 0 or per_device < 1:
        raise InputError(f"--jobs is {jobs} and --per-device {per_device}; they are at least 0 and 1.")
    backend, count = _devices() if has_accelerator() else ("cpu", 1)
    if backend not in VISIBLE:
        return [{}] * max(1, jobs)
    fraction = OLD_FRACTION if OLD_FRACTION in os.environ else "XLA_CLIENT_MEM_FRACTION"  # JAX refuses both together
    shares = {fraction: f"{0.9 / per_device:.2f}"} if per_device > 1 else {}
    # Those that this process may use: a batch system, or another user of the machine, leaves some of them.
    named = [name for name in os.environ.get(VISIBLE[backend], "").split(",") if name]
    named = named[:count] or list(map(str, range(count)))
    every = [{VISIBLE[backend]: name, **shares} for _ in range(per_device) for name in named]
    if jobs > len(every):
        raise InputError(
            f"--jobs is {jobs}, and {len(named)} accelerators with {per_device} runs each take {len(every)} at a time: "
            "give a larger --per-device."
        )
    return every[: jobs or None]


def _devices():
    """(backend, number of devices), asked in a process of its own: to ask here would take their memory."""
    code = "import jax; print(jax.default_backend(), jax.local_device_count())"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if answer.returncode:
        raise InputError(f"JAX does not start on this machine: {answer.stderr.strip().splitlines()[-1]}")
    backend, count = answer.stdout.split()[-2:]
    return backend, int(count)


def run_workers(
    runs: Sequence[Run], workdir: pathlib.Path, workers: Workers, *, done: Callable[[Run, str], object]
) -> signal.Signals | None:
    """Runs every run in a process of its own, as many at a time as there are slots.

    SIGTERM or Ctrl-C here ends the workers, which save their state; so does the end of this process.

    Args:
      runs: the runs, in order.
      workdir: a pathlib.Path; a worker's output goes to workdir/<run id>/output.log.
      workers: a Workers.
      done: called with (run, error) when a run has ended, error "" where it succeeded.
    Returns:
      The signal that ended it early, or None.
    """
    waiting, running, free, received = [(run, 0) for run in runs], {}, list(workers.slots), []
    old = {number: signal.signal(number, lambda n, _: received.append(n)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while running or (waiting and not received):
            while free and waiting and not received:
                run, tries = waiting.pop(0)
                slot = free.pop(0)
                running[_start(workers.command, run, workdir, slot)] = run, tries, slot
            for process in [process for process in running if process.poll() is not None]:
                run, tries, slot = running.pop(process)
                process.stdin.close()
                free.append(slot)
                died = process.returncode < 0 or process.returncode == TOLD_TO_END
                if died and tries < workers.retries:
                    waiting.insert(0, (run, tries + 1))
                elif not received:
                    error = _verdict(process.returncode, workdir / run.id)
                    write_error(workdir / run.id, error)
                    done(run, error)
            if received:
                for process in running:
                    process.send_signal(signal.SIGTERM)
                for process in running:
                    process.communicate()
                running.clear()
            time.sleep(POLL)
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    return signal.Signals(received[0]) if received else None


def _start(command, run, workdir, environment):
    folder = workdir / run.id
    folder.mkdir(parents=True, exist_ok=True)
    write_error(folder, "")  # of an earlier start: this one may die before it can say so
    with (folder / "output.log").open("ab") as log:
        return subprocess.Popen(
            [*command, run.id],
            env={**os.environ, **environment, WATCH: "1"},
            stdin=subprocess.PIPE,  # its end tells the worker that this process is gone
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the workers through us alone
        )


def _verdict(code, folder):
    """The failure of a worker that ended with this exit code, as text; "" for none."""
    if code == 0:
        return ""
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return read_error(folder) or f"its process ended by {how} without a word; see {folder / 'output.log'}"
