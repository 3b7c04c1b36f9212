"""Killed without a word (SIGKILL) at moments drawn at random, a run ends with the same bits as one left alone."""

import contextlib
import json
import os
import pathlib
import random
import signal
import time

import pytest

import jaxcnn

# A checkpoint after every step: most kills fall into the writing of one.
EVERY_STEP = {"duration": "16 steps", "checkpoint.every": "1 steps", "log_every": 1, "evaluation.every": "5 steps"}
ONE_DEVICE = "--xla_force_host_platform_device_count=1"


def last_row(workdir):
    lines = pathlib.Path(workdir, "metrics.jsonl").read_text().splitlines()
    with contextlib.suppress(json.JSONDecodeError):  # half a line: it is being written
        return max((json.loads(line).get("step", 0) for line in lines), default=0)
    return 0


def last_begun(workdir):
    """The last checkpoint of which there is half a directory."""
    found = pathlib.Path(workdir, "checkpoints").glob("*.orbax-checkpoint-tmp*")
    return max((int(path.name.split(".")[0]) for path in found), default=0)


def kill_at(process, step, reached, workdir):
    """Kills the process where reached(workdir) is the step or a later one; for the look that counts it stands still."""
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if reached(workdir) >= step:
                process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                if reached(workdir) >= step:
                    process.send_signal(signal.SIGKILL)
                    break
                process.send_signal(signal.SIGCONT)
        time.sleep(0.001)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"


@pytest.mark.parametrize(
    ("resident", "kills"),
    [("yes", 1), pytest.param("yes", 3, marks=pytest.mark.long), pytest.param("no", 1, marks=pytest.mark.long)],
)
def test_a_killed_run_ends_with_the_same_bits_and_rows(
    resident, kills, stateful_config, tmp_path, one_device, cli, rows, assert_same_bits
):
    def start(workdir):
        return cli(config, "--workdir", workdir, "--quiet", flags=ONE_DEVICE)

    config = stateful_config({**EVERY_STEP, "data.resident": resident})
    draw = random.Random(kills)
    moments = [(4 * i + draw.randrange(1, 5), draw.choice([last_row, last_begun])) for i in range(kills - 1)]
    for step, reached in [*moments, (4 * kills - draw.randrange(4), last_begun)]:
        kill_at(start(tmp_path / "broken"), step, reached, tmp_path / "broken")
    assert last_begun(tmp_path / "broken"), "the last kill fell into the writing of a checkpoint"
    for workdir in (tmp_path / "whole", tmp_path / "broken"):
        process = start(workdir)
        process.communicate()
        assert process.returncode == 0
        assert not last_begun(workdir)
    assert rows(tmp_path / "whole") == rows(tmp_path / "broken")
    whole, broken = (  # finished runs are only loaded
        jaxcnn.train(config, tmp_path / name, quiet=True, devices=one_device) for name in ("whole", "broken")
    )
    assert_same_bits(whole.state, broken.state)
    assert whole.test == broken.test
    starts = [start["from_step"] for start in json.loads((broken.workdir / "environment.json").read_text())["starts"]]
    assert len(starts) == kills + 2
    assert starts == sorted(starts)
    assert starts[kills] < starts[-1] == 16
