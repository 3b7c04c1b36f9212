"""Joins the processes of a run, before any device is touched."""

import os

import jax

from jaxcnn.errors import InputError


def join_processes(coordinator=None, processes=None, process=None):
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


def _cluster():
    slurm = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1
    tpu = "," in os.environ.get("TPU_WORKER_HOSTNAMES", "")
    kubernetes = "KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ
    mpi = int(os.environ.get("OMPI_COMM_WORLD_SIZE", 1)) > 1
    return slurm or tpu or kubernetes or mpi
