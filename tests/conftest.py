"""The common part of all tests: eight simulated devices on CPU, strict rank promotion, real data where they are."""

import gc
import json
import os
import pathlib
import shutil
import sys

from jaxcnn.process import FUSION

# Most of the suite's time is XLA's: each program is compiled in one part and by LLVM's quickest way, a quarter sooner.
# XLA's own passes are those of the command line. Its huge pages are not: the tests compile more than they train, and
# take a twelfth less time without.
os.environ.setdefault("GLIBC_TUNABLES", "")
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8 --xla_cpu_parallel_codegen_split_count=1 "
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    f"--xla_backend_extra_options={FUSION}",
)

import jax
import numpy as np
import pytest

# Files of tests lie in memory where there is room and scripts may run: a tenth of the time was waiting for a disk.
MEMORY = pathlib.Path("/dev/shm")
if (
    MEMORY.is_dir()
    and shutil.disk_usage(MEMORY).free > 4 << 30
    and not os.statvfs(MEMORY).f_flag & getattr(os, "ST_NOEXEC", 0)
):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

jax.config.update("jax_numpy_rank_promotion", "raise")

# Everything that a resumed run must bring back: 60 records in batches of 16, so that no epoch ends with a batch;
# a rate at which the held-out error rises now and then, so that the plateau acts.
STATEFUL = {
    "data.train": "train[:60]",
    "data.validation": "train[60:100]",
    "data.test": "test[:40]",
    "augment.pad_crop": 1,
    "augment.flip": True,
    "model.options": {"widths": (4,), "convolutions": 1, "hidden": (8,), "activation": "tanh", "batch_norm": True},
    "model.dropout": 0.2,
    "batch_size": 16,
    "duration": "14 steps",
    "optimizer.ema": 0.9,
    "schedule.name": "plateau",
    "schedule.patience": 2,
    "schedule.factor": 0.5,
    "evaluation.every": "2 steps",
    "checkpoint.every": "5 steps",
    "log_every": 4,
}


def pytest_collection_finish():
    """Garbage is looked for less often, and not among what the imports have made: a twentieth of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """One for this session and the processes that its tests start, so that each program is compiled once."""
    from jax.experimental.compilation_cache import compilation_cache

    folder = str(tmp_path_factory.mktemp("compilation_cache"))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    compilation_cache.reset_cache()  # a module of tests may have compiled while it was imported


@pytest.fixture(scope="module", autouse=True)
def forgotten_programs():
    """Compiled programs end with their module: each is a few memory maps, and a process that has 65,530 crashes."""
    yield
    jax.clear_caches()
    gc.collect()


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


@pytest.fixture(scope="session")
def tiny_config():
    """make({"optimizer.clip": 1.0}) is the config of a run of a second: 20 steps of 690 parameters on 8x8 digits."""
    from jaxcnn import default_config

    def make(changes=None):
        config = default_config()
        config.data.image_size = (8, 8)
        config.model.name = "convnet"
        config.model.options.update({"widths": (4,), "convolutions": 1, "hidden": ()})
        config.batch_size = 32
        config.duration = "20 steps"
        config.evaluation.every = config.checkpoint.every = "10 steps"
        config.update_from_flattened_dict(changes or {})
        return config

    return make


@pytest.fixture(scope="session")
def stateful_config(tiny_config):
    """make({"optimizer.clip": 1.0}) is the config of 14 steps with momentum, EMA, dropout, augmentation and plateau."""

    def make(changes=None):
        with (config := tiny_config()).unlocked():
            config.update_from_flattened_dict({**STATEFUL, **(changes or {})})
        return config

    return make


@pytest.fixture(scope="session")
def rows():
    """rows(workdir): the train and validation rows of metrics.jsonl, without what the clock says."""

    def read(workdir):
        found = [json.loads(line) for line in (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()]
        timing = ("images_per_second", "seconds")
        return [{k: v for k, v in row.items() if k not in timing} for row in found if "split" in row]

    return read


@pytest.fixture(scope="session")
def numbers():
    """numbers(state): {"params/conv1_1/kernel": array, ...} of everything in a State, its PRNG key too."""

    def flat(state):
        state = state.replace(key=jax.random.key_data(state.key))
        return {jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(state)}

    return flat


@pytest.fixture(scope="session")
def assert_same_bits(numbers):
    """assert_same_bits(state, state)."""

    def check(one, other):
        one, other = numbers(one), numbers(other)
        assert one.keys() == other.keys()
        assert any("ema" in name for name in one)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name, strict=True)

    return check


@pytest.fixture
def tiny_config_file(tmp_path):
    """make("10 steps") is the path of a config file, of a convnet on 8x8 digits for that long."""

    def make(duration):
        path = tmp_path / "tiny.py"
        path.write_text(TINY_CONFIG.format(duration=duration))
        return path

    return make


TINY_CONFIG = """
from jaxcnn import default_config

def get_config():
    config = default_config()
    config.data.image_size = (8, 8)
    config.model.name = "convnet"
    config.model.options.update({{"widths": (4,), "convolutions": 1, "hidden": ()}})
    config.batch_size = 32
    config.duration = "{duration}"
    return config
"""


@pytest.fixture(scope="session")
def tiny_run(tiny_config, tmp_path_factory):
    """The directory of a finished run of tiny_config on one device; tests that write into it copy it."""
    from jaxcnn import train

    workdir = tmp_path_factory.mktemp("runs") / "tiny"
    train(tiny_config(), workdir, quiet=True, devices=jax.devices()[:1])
    return workdir


@pytest.fixture(scope="session")
def cell_of():
    """make({"depth": 20}, (0.9, 0.8), train_loss=(0.1, None)) is a Cell: test accuracies of seeds 0, 1, ..."""
    from jaxcnn.sweeps import metrics_of
    from jaxcnn.sweeps.study import cell_name
    from jaxcnn.tasks import CLASSIFICATION
    from jaxcnn.visualize.study_report import Cell

    def make(levels, test_top1, *, tested=None, left=(), rows=None, cost=None, **values):
        seeds = list(range(len(test_top1)))
        empty = {name: [None] * len(seeds) for name in metrics_of(CLASSIFICATION)}
        every = {**empty, "test_top1": list(test_top1), **{name: list(v) for name, v in values.items()}}
        rows = [[] for _ in seeds] if rows is None else rows
        return Cell(cell_name(levels), levels, seeds, every, tested or {}, list(left), rows, cost or {})

    return make


@pytest.fixture
def user_package(tmp_path, monkeypatch):
    """write("name", "source") puts a module of a user's own on the path; it is forgotten after the test."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    written = []

    def write(name, source):
        (folder / f"{name}.py").write_text(source)
        written.append(name)
        return folder

    yield write
    for name in written:
        sys.modules.pop(name, None)
