"""Runs that are broken off: in this process by a signal, or as processes of their own."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn.training.config import to_json

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


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory):
    """One for this session and the processes that its tests start."""
    from jax.experimental.compilation_cache import compilation_cache

    folder = str(tmp_path_factory.mktemp("compilation_cache"))
    old = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", folder)
    compilation_cache.reset_cache()
    yield folder
    jax.config.update("jax_compilation_cache_dir", old)
    compilation_cache.reset_cache()


@pytest.fixture(scope="session")
def stateful_config(tiny_config):
    """make({"optimizer.clip": 1.0}) is the config of 14 steps with momentum, EMA, dropout, augmentation and plateau."""

    def make(changes=None):
        with (config := tiny_config()).unlocked():
            config.update_from_flattened_dict({**STATEFUL, **(changes or {})})
        return config

    return make


@pytest.fixture
def terminate_at(monkeypatch):
    """terminate_at(position, ...) sends SIGTERM when the record at each of these places of the stream is first read."""
    unexpected = []
    old = signal.signal(signal.SIGTERM, lambda number, _: unexpected.append(number))
    original = jaxcnn.data.Order.records

    def install(*positions):
        left = list(positions)

        def records(self, start, stop):
            if left and start <= left[0] < stop:
                left.pop(0)
                os.kill(os.getpid(), signal.SIGTERM)
            return original(self, start, stop)

        monkeypatch.setattr(jaxcnn.data.Order, "records", records)

    yield install
    signal.signal(signal.SIGTERM, old)
    assert not unexpected, "SIGTERM came while no run took note of it"


@pytest.fixture
def on_progress(monkeypatch):
    """on_progress(see): see(text) is called with everything that a run prints while it trains."""

    def install(see):
        class Screen:
            def write(self, text):
                see(text)
                return len(text)

            def flush(self):
                pass

        monkeypatch.setattr(sys, "stderr", Screen())

    return install


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
def cli(tmp_path, compilation_cache):
    """start(config, *arguments, flags=None): a process `python -m jaxcnn train`; all are gone after the test."""
    started = []

    def start(config, *arguments, flags=None):
        file = tmp_path / f"config{len(started)}.py"
        file.write_text(
            f"from jaxcnn.training.config import from_json\n\n\ndef get_config():\n"
            f"    return from_json({to_json(config)!r})\n"
        )
        environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": compilation_cache}
        if flags is not None:
            environment["XLA_FLAGS"] = flags
        command = [sys.executable, "-m", "jaxcnn", "train", f"--config={file}", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            start_new_session=True,  # a signal to its group does not reach us
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
