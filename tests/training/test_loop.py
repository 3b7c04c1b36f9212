"""The loop: what it logs, compiles and fetches, how it cuts steps into calls, and how it ends when it diverges."""

import contextlib
import json
import re
import time
import types

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.data.workers import WorkerDied
from jaxcnn.training import loop
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.training.train import Diverged, Preempted

COMPILED = "/jax/core/compile/backend_compile_duration"


def train(config, workdir, **options):
    return jaxcnn.train(config, workdir, devices=jax.devices()[:1], **{"quiet": True, **options})


@pytest.fixture
def compilations():
    """A list that grows by one "compiled" for every program that XLA is given."""
    found = []

    def listen(event, seconds, **_):
        if event == COMPILED:
            found.append("compiled")

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    jax.monitoring.unregister_event_duration_listener(listen)


def test_after_the_first_step_evaluation_and_checkpoint_nothing_is_compiled(
    stateful_config, tmp_path, compilations, on_progress, rows
):
    config = stateful_config({"evaluation.every": "1 steps", "checkpoint.every": "1 steps", "log_every": 1})
    on_progress(lambda text: compilations.append(text) if text.startswith("step ") else None)
    train(config, tmp_path, quiet=False)
    rates = {row["learning_rate"] for row in rows(tmp_path) if row["split"] == "train"}
    assert len(rates) > 1, "the plateau has not changed the rate"
    first = next(i for i, text in enumerate(compilations) if text.startswith("step 2/"))
    last = max(i for i, text in enumerate(compilations) if text.startswith("step 14"))
    assert "compiled" in compilations[:first]
    assert "compiled" not in compilations[first:last]


def test_one_chunk_is_read_ahead_of_the_one_that_is_waited_for(stateful_config, tmp_path, on_progress, monkeypatch):
    read, printed = [0], {}
    original = jaxcnn.data.Order.records

    def records(self, start, stop):
        read.append(stop)
        return original(self, start, stop)

    monkeypatch.setattr(jaxcnn.data.Order, "records", records)
    on_progress(lambda text: printed.setdefault(text.split("/")[0], read[-1]) if text.startswith("step ") else None)
    train(stateful_config({"evaluation.every": "6 steps"}), tmp_path, quiet=False)
    # The row of step 4 waits for its result, that of step 12 comes with an evaluation; nothing is read past the end.
    assert (printed["step 4"], printed["step 12"], printed["step 14"]) == (5 * 16, 13 * 16, 14 * 16)


class Fetches:
    """Counts the arrays that are fetched from the device.

    On a CPU NumPy reads an array in place, unseen; on an accelerator the transfer guard of the test below sees it.
    """

    def __init__(self, monkeypatch):
        self.count = 0
        kind = type(jax.numpy.zeros(()))
        value = kind._value

        def counted(array):
            self.count += 1
            return value.fget(array)

        monkeypatch.setattr(kind, "_value", property(counted))


@pytest.fixture
def fetches(monkeypatch):
    return Fetches(monkeypatch)


def test_the_counter_sees_every_way_to_fetch(fetches):
    for fetch in (float, int, bool, jax.device_get):
        before = fetches.count
        fetch(jax.numpy.ones(()) + 1)
        assert fetches.count > before, fetch


def test_nothing_leaves_the_device_between_two_rows_of_the_log(stateful_config, tmp_path, fetches, on_progress):
    seen = {}

    def see(text):
        if step := re.match(r"step (\d+)/", text):
            seen[int(step[1])] = fetches.count

    on_progress(see)
    config = stateful_config(
        {
            "duration": "40 steps",
            "evaluation.every": "40 steps",
            "checkpoint.every": "40 steps",
            "log_every": 10,
            "steps_per_call": 5,
        }
    )
    with jax.transfer_guard_device_to_host("disallow"):  # on an accelerator; a CPU's memory is the host's
        train(config, tmp_path, quiet=False)
    assert list(seen) == [10, 20, 30, 40]
    calls, metrics = 2, 7
    assert seen[20] - seen[10] == seen[30] - seen[20] == calls * metrics


def test_steps_in_one_call_give_what_single_steps_give(stateful_config, tmp_path, numbers, rows):
    changes = {"evaluation.every": "7 steps", "checkpoint.every": "7 steps", "schedule.name": "constant"}
    one = train(stateful_config({**changes, "steps_per_call": 1}), tmp_path / "1")
    four = train(stateful_config({**changes, "steps_per_call": 4}), tmp_path / "4")
    first, second = numbers(one.state), numbers(four.state)
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-5, atol=1e-5, err_msg=name)
    assert [(row["split"], row["step"]) for row in rows(tmp_path / "1")] == [
        ("train", 4),
        ("train", 7),
        ("validation", 7),
        ("train", 8),
        ("train", 12),
        ("train", 14),
        ("validation", 14),
    ]
    # 0-4, then single steps to 7; 7-11, then single steps to 14: a row at the end of the call that passed a multiple
    # of 4, and before an evaluation.
    assert [row["step"] for row in rows(tmp_path / "4") if row["split"] == "train"] == [4, 7, 11, 12, 14]
    compiled = [json.loads(line) for line in (tmp_path / "4" / "metrics.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in compiled if row.get("event") == "compiled"] == [4, 1]


def test_a_row_is_the_mean_since_the_row_before(stateful_config, tmp_path, rows):
    changes = {"evaluation.every": "14 steps", "checkpoint.every": "14 steps", "schedule.name": "constant"}
    train(stateful_config({**changes, "log_every": 1}), tmp_path / "1")
    train(stateful_config({**changes, "log_every": 4}), tmp_path / "4")
    single = {row["step"]: row for row in rows(tmp_path / "1") if row["split"] == "train"}
    assert list(single) == list(range(1, 15))
    grouped = [row for row in rows(tmp_path / "4") if row["split"] == "train"]
    assert [row["step"] for row in grouped] == [4, 8, 12, 14]
    for row, steps in zip(grouped, ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14)), strict=True):
        for name in ("loss", "top1", "top5"):
            assert row[name] == pytest.approx(np.mean([single[step][name] for step in steps]), rel=1e-6)
        for name in ("epoch", "learning_rate", "gradient_norm", "parameter_norm"):
            assert row[name] == single[steps[-1]][name]


DIVERGING = {
    "model.options": {"widths": (4,), "convolutions": 1, "hidden": (8,)},  # relu, no batch norm: nothing is bounded
    "schedule.name": "constant",
    "schedule.warmup": "8 steps",
    "checkpoint.every": "1 steps",
    "evaluation.every": "14 steps",
    "optimizer.learning_rate": 1e6,
}


def test_divergence_names_step_loss_and_cause_and_keeps_the_last_good_checkpoint(stateful_config, tmp_path):
    with pytest.raises(Diverged) as raised:
        train(stateful_config(DIVERGING), tmp_path)
    found = re.fullmatch(
        r"training diverged at step (\d+): loss (\S+), gradient norm (\S+), parameter norm (\S+?)"
        r"(; one step before .*)?\. Likely cause: the learning rate, (\S+), is too high for this network; "
        r"lower config\.optimizer\.learning_rate, .*The last good checkpoint is step (\d+) in .*\.",
        str(raised.value),
    )
    assert found, raised.value
    assert not all(np.isfinite(float(found[i])) for i in (2, 3, 4))
    assert float(found[6]) > 1000
    step, good = int(found[1]), int(found[7])
    assert 0 < good == step - 1
    network = jaxcnn.Trained(tmp_path, "latest")
    assert network.step == good
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(network.variables))
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert last == {"event": "diverged", "step": step}


def test_a_diverged_command_ends_with_2(stateful_config, tmp_path, capsys):
    (tmp_path / "config.py").write_text(
        f"from jaxcnn.training.config import from_json\n\n\ndef get_config():\n"
        f"    return from_json({json.dumps(stateful_config(DIVERGING).to_dict())!r})\n"
    )
    with contextlib.chdir(tmp_path):
        assert main(["train", f"--config={tmp_path}/config.py", "--workdir=run", "--quiet"]) == 2
    assert "jaxcnn: training diverged at step" in capsys.readouterr().err


def test_an_evaluation_that_is_due_comes_before_the_end_of_a_run_whose_worker_died(
    stateful_config, tmp_path, terminate_at, rows, monkeypatch
):
    """A signal ends the workers too: the batch behind step 8 cannot be read any more, but step 8 is evaluated."""
    config = stateful_config({"evaluation.every": "4 steps", "checkpoint.every": "4 steps"})
    whole = train(config, tmp_path / "whole")
    terminate_at(8 * 16)
    original = jaxcnn.data.Order.records

    def records(self, start, stop):
        found = original(self, start, stop)
        if start == 8 * 16:
            raise WorkerDied("a worker has ended")
        return found

    with monkeypatch.context() as dying:
        dying.setattr(jaxcnn.data.Order, "records", records)
        with pytest.raises(Preempted, match="step 8 of 14 is saved"):
            train(config, tmp_path / "broken")
    train(config, tmp_path / "broken")
    held_out = [
        [row for row in rows(path) if row["split"] == "validation"] for path in (whole.workdir, tmp_path / "broken")
    ]
    assert held_out[0] == held_out[1] and [row["step"] for row in held_out[0]] == [4, 8, 12, 14]


def test_the_time_of_an_evaluation_is_none_of_a_resumed_run_s_training(
    stateful_config, tmp_path, terminate_at, monkeypatch
):
    """An evaluation takes 1000 s by the loop's clock; in no row of the log are as many, before and after resuming."""
    evaluate, spent = loop.Loop._evaluate, [0.0]

    def slow(self, step):
        spent[0] += 1000
        return evaluate(self, step)

    monkeypatch.setattr(loop.Loop, "_evaluate", slow)
    monkeypatch.setattr(loop, "time", types.SimpleNamespace(monotonic=lambda: time.monotonic() + spent[0]))
    config = stateful_config({"evaluation.every": "4 steps", "checkpoint.every": "4 steps"})
    terminate_at(8 * 16)
    with pytest.raises(Preempted):
        train(config, tmp_path)
    train(config, tmp_path)
    seconds = [row["seconds"] for row in read_metrics(tmp_path) if row.get("split") == "train"]
    assert spent[0] == 4000 and max(seconds) < 1000
