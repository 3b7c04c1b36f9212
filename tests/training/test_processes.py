"""Two processes train what one trains, stop together and resume together."""

import json
import re
import signal
import socket

import pytest

import jaxcnn

ROUNDING = 1e-5  # of a number of order one, after fourteen steps
FEW_EVENTS = {
    "model.batch_norm": "synchronized",
    "optimizer.learning_rate": 0.05,
    "evaluation.every": "50%",
    "checkpoint.every": "50%",
    "steps_per_call": 2,
}
LAST = {"yes": 40, "no": 12}


@pytest.fixture
def pair(cli):
    """pair(config, workdir) starts two processes of one CPU device each; both print their progress."""

    def start(config, workdir):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        arguments = ("--workdir", workdir, "--coordinator", f"localhost:{port}", "--processes", 2, "--process")
        return [cli(config, *arguments, number, flags="") for number in range(2)]

    return start


def end(processes):
    """[(exit code, standard error)]."""
    errors = [process.communicate()[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, errors, strict=True)]


def assert_agree(one, other, numbers, rows):
    """Of two Results, to rounding."""
    first, second = numbers(one.state), numbers(other.state)
    assert first.keys() == second.keys()
    for name in first:
        assert second[name] == pytest.approx(first[name], rel=ROUNDING, abs=ROUNDING), name
    for row, same in zip(rows(one.workdir), rows(other.workdir), strict=True):
        assert row.pop("split") == same.pop("split")
        assert same == pytest.approx(row, rel=ROUNDING)


@pytest.mark.parametrize("resident", [pytest.param("yes", marks=pytest.mark.long), "no"])
def test_two_processes_agree_with_one_and_go_on_after_ctrl_c_in_one(
    resident, stateful_config, tmp_path, pair, one_device, numbers, rows
):
    # Chunks of 2 steps: the processes agree on a chunk to stop after, not on a number of steps.
    config = stateful_config({**FEW_EVENTS, "data.resident": resident, "duration": f"{LAST[resident]} steps"})
    workdir = tmp_path / "pair"
    if resident == "yes":
        processes = pair(config, workdir)
        for line in processes[0].stderr:
            if line.startswith("step 4/"):
                processes[1].send_signal(signal.SIGINT)
                break
        ends = end(processes)
        assert [code for code, _ in ends] == [143, 130], ends
        stops = [re.search(r"step (\d+) of 40 is saved", text)[1] for _, text in ends]
        assert stops[0] == stops[1]
    ends = end(pair(config, workdir))
    assert [code for code, _ in ends] == [0, 0], ends
    assert ends[1][1] == "" or "step" not in ends[1][1], "the second process prints too"
    assert (workdir / "report.html").exists()
    starts = json.loads((workdir / "environment.json").read_text())["starts"]
    assert starts[-1]["processes"] == 2
    assert len(starts) == (2 if resident == "yes" else 1)
    assert len(list((workdir / "tensorboard").iterdir())) == len(starts), "the second process logs too"
    whole = jaxcnn.train(config, tmp_path / "whole", quiet=True, devices=one_device)
    loaded = jaxcnn.train(config, workdir, quiet=True, devices=one_device)  # finished: only loaded
    assert_agree(whole, loaded, numbers, rows)


@pytest.mark.long
def test_two_more_processes_in_the_directory_are_both_refused(stateful_config, tmp_path, pair):
    config = stateful_config({**FEW_EVENTS, "duration": "4000 steps"})
    first = pair(config, tmp_path / "pair")
    next(line for line in first[0].stderr if line.startswith("step "))
    ends = end(pair(config, tmp_path / "pair"))
    assert [code for code, _ in ends] == [2, 2], ends
    assert all(f"another run is at work in {tmp_path / 'pair'} (process {first[0].pid} on" in text for _, text in ends)


@pytest.mark.parametrize("dead", [0, pytest.param(1, marks=pytest.mark.long)])
def test_where_one_process_is_killed_the_other_says_so_and_ends(dead, stateful_config, tmp_path, pair):
    processes = pair(stateful_config({**FEW_EVENTS, "duration": "4000 steps"}), tmp_path / "pair")
    next(line for line in processes[0].stderr if line.startswith("step "))
    processes[dead].kill()
    code, text = end(processes)[1 - dead]
    said = [line for line in text.splitlines() if line.startswith("jaxcnn:")]
    assert code == 1 and len(said) == 1 and "Check failure" not in text, text
    assert f"process {dead} of this run is gone" in said[0] and "resumes from the last checkpoint" in said[0]
