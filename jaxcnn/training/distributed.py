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
        if _owns_what_it_sees():  # of which JAX has taken one GPU, that of the number of the process on its node
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
    kubernetes = "KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ
    mpi = int(os.environ.get("OMPI_COMM_WORLD_SIZE", 1)) > 1
    return slurm or tpu or kubernetes or mpi
