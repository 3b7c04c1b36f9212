"""Which GPUs a process of a cluster takes; for jax.distributed.initialize stands what it does there: it takes one."""

import jax
import pytest

from jaxcnn.training.processes.distributed import join_processes

TWO_NODES = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "2"}
ONE_NODE = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1"}
MPI = {"OMPI_COMM_WORLD_SIZE": "2"}


@pytest.mark.parametrize(
    ("variables", "seen"),
    [
        (TWO_NODES, "all"),
        (ONE_NODE, "1"),  # they share what they see: one GPU each
        ({**ONE_NODE, "SLURM_GPUS_PER_TASK": "4"}, "all"),
        ({**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, "all"),
        ({**MPI, "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, "1"),
        ({**TWO_NODES, "JAX_LOCAL_DEVICE_IDS": "1"}, "1"),
    ],
)
def test_a_process_takes_the_gpus_that_are_its_own(variables, seen, monkeypatch):
    for name in ("SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES", "SLURM_GPUS_PER_TASK", "JAX_LOCAL_DEVICE_IDS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = _seen()
    monkeypatch.setattr(jax.distributed, "initialize", _takes_one)
    try:
        join_processes()
        assert _seen() == (seen, seen)
    finally:
        _see(*before)


def test_the_pods_of_an_indexed_job_are_no_run_of_several_processes(monkeypatch):
    """One without --coordinator trains alone: a study's Job has pods that are a run each."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    monkeypatch.setattr(jax.distributed, "initialize", lambda *_: pytest.fail("joined"))
    join_processes()


def _takes_one():
    _see("1", "1")


def _see(cuda, rocm):
    jax.config.update("jax_cuda_visible_devices", cuda)
    jax.config.update("jax_rocm_visible_devices", rocm)


def _seen():
    return jax.config.read("jax_cuda_visible_devices"), jax.config.read("jax_rocm_visible_devices")
