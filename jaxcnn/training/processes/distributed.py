"""The processes of a run: how they are joined, and hold its directory as one."""

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Generator
from typing import Any

import jax
import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.interrupt import EXIT_INTERRUPTED
from jaxcnn.lock import hold
from jaxcnn.training.processes import multihost
from jaxcnn.training.processes.peers import Peers

TEXT = 2048  # bytes of a text that process 0 gives the others


@contextlib.contextmanager
def joined_processes(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None
) -> Generator[Callable[[], None], None, None]:
    """`join_processes` for the length of a `with` block, in which the processes watch each other; see `Peers`.

    Yields:
      failed(): to be called where the block ends without an exception and yet failed in this process.
    """
    join_processes(coordinator, processes, process)
    peers, code, failures = _peers(coordinator), 1, []
    try:
        yield lambda: failures.append(True)
        code = len(failures)
    except InputError:
        code = 2
        raise
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
        raise
    except Exception:
        if peers:
            peers.look()
        raise
    finally:
        if peers:
            peers.end(code)


def _peers(coordinator):
    """The Peers of a run of several processes."""
    if not jax.distributed.is_initialized() or jax.process_count() == 1:
        return None
    host = coordinator.rpartition(":")[0].strip("[]") if coordinator else socket.gethostname()
    try:
        return Peers(host, jax.process_index(), jax.process_count(), _of_first)
    except OSError as error:
        logging.warning("the processes cannot watch each other (%s): the end of one is noticed late", error)
        return None


def join_processes(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Calls jax.distributed.initialize where a coordinator is given or a cluster started several processes.

    Args:
      coordinator: "host:port" of process 0.
      processes: how many there are.
      process: the number of this one.
    Raises:
      InputError: only some of the three are given.
    """
    given = [coordinator is not None, processes is not None, process is not None]
    if any(given):
        if not all(given):
            raise InputError("--coordinator, --processes and --process are given together.")
        jax.distributed.initialize(coordinator, processes, process)
    elif _cluster():
        jax.distributed.initialize()
        if _owns_what_it_sees():  # JAX claims only the GPU of the local rank; take all of them
            for platform in ("cuda", "rocm"):
                jax.config.update(f"jax_{platform}_visible_devices", "all")


def _owns_what_it_sees():
    """Whether the GPUs of this process are its own: it is alone on its node, or SLURM gave each process some."""
    if "JAX_LOCAL_DEVICE_IDS" in os.environ:  # a person says which
        return False
    alone = os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"
    nodes = os.environ.get("SLURM_STEP_NUM_NODES")
    alone |= nodes is not None and nodes == os.environ.get("SLURM_STEP_NUM_TASKS")
    return alone or "SLURM_GPUS_PER_TASK" in os.environ


def _cluster():
    slurm = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1
    tpu = "," in os.environ.get("TPU_WORKER_HOSTNAMES", "")
    mpi = int(os.environ.get("OMPI_COMM_WORLD_SIZE", 1)) > 1
    return slurm or tpu or mpi  # pods of an indexed Job may be one run or one each of a study: the manifest says


@contextlib.contextmanager
def hold_together(folder: Any, *, wait: bool = False) -> Generator[None, None, None]:
    """Holds the directory of a run for all of its processes: the first one takes the lock of `jaxcnn.lock.hold`.

    Args:
      folder, wait: as there.
    Raises:
      InputError: as there; in all processes.
    """
    with contextlib.ExitStack() as held:
        refusal = ""
        if jax.process_index() == 0:
            try:
                held.enter_context(hold(folder, what="run", wait=wait, reentrant=True))
            except InputError as error:
                refusal = str(error)
        if refusal := _of_first(refusal):
            raise InputError(refusal)
        yield


def _of_first(text):
    """The text that process 0 has."""
    if jax.process_count() == 1:
        return text
    padded = np.zeros(TEXT, np.uint8)
    encoded = np.frombuffer(text.encode()[:TEXT], np.uint8)
    padded[: len(encoded)] = encoded
    return bytes(np.asarray(multihost.broadcast_one_to_all(padded))).rstrip(b"\0").decode(errors="replace")
