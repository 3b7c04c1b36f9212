"""What every test shares: eight simulated devices on CPU, strict rank promotion, real data where they are."""

import os
import pathlib

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def shared():
    """The folder of real data beside the repository, or where JAXCNN_SHARED says."""
    folder = pathlib.Path(os.environ.get("JAXCNN_SHARED", pathlib.Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data in {folder}")
    return folder


@pytest.fixture
def one_device():
    """A list of one device."""
    return jax.devices()[:1]
