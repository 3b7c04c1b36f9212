"""Runs that are broken off: in this process by a signal, or as processes of their own."""

import json
import os
import signal
import subprocess
import sys

import pytest

import jaxcnn
from jaxcnn.training.config import to_json
from jaxcnn.training.rundir.evaluations import read_evaluations


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


@pytest.fixture
def cli(tmp_path):
    """start(config, *arguments, flags=None): a process `python -m jaxcnn train`; all are gone after the test."""
    started = []

    def start(config, *arguments, flags=None):
        file = tmp_path / f"config{len(started)}.py"
        file.write_text(
            f"from jaxcnn.training.config import from_json\n\n\ndef get_config():\n"
            f"    return from_json({to_json(config)!r})\n"
        )
        environment = dict(os.environ)
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


@pytest.fixture(scope="session")
def tracked_by(tiny_config, tmp_path_factory):
    """f(trackers): the directory of a run of 10 steps that was then extended to 20, with these trackers."""

    def run(names):
        workdir = tmp_path_factory.mktemp("tracked") / "mine"
        for steps in (10, 20):
            config = tiny_config({"duration": f"{steps} steps", "trackers": names, "log_every": 5})
            jaxcnn.train(config, workdir, quiet=True, extend=steps == 20)
        return workdir

    return run


@pytest.fixture(scope="session")
def rows_of():
    """f(workdir): {("train/loss", step): value} of metrics.jsonl and of the looks at test of such a run."""

    def read(workdir):
        rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
        rows = [row for row in rows if "split" in row]
        tests = [{k: row[k] for k in ("split", "step", "loss", "top1", "top5")} for row in read_evaluations(workdir)]
        assert len(rows) == 6 and len(tests) == 2
        return {
            (f"{row['split']}/{name}", row["step"]): value
            for row in (*rows, *tests)
            for name, value in row.items()
            if isinstance(value, float) and name != "epoch"
        }

    return read
