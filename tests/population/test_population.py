"""A population: every member is the run alone, whatever becomes of the others, wherever it is broken off."""

import json
import re
import signal

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn.errors import InputError
from jaxcnn.population import layout as members
from jaxcnn.population import train_population
from jaxcnn.training.divergence import Diverged
from jaxcnn.training.processes.preemption import Preempted

CHANGES = {"duration": "20 steps", "evaluation.every": "5 steps", "checkpoint.every": "5 steps"}
MEMBERS = (
    {},
    {"seed": 1, "optimizer.learning_rate": 0.02},
    {
        "seed": 2,
        "optimizer.momentum": 0.0,
        "optimizer.weight_decay": 0.01,
        "loss.label_smoothing": 0.1,
        "model.dropout": 0.0,
    },
)


@pytest.fixture(scope="module")
def configs(stateful_config):
    """Smooth, with batch norm, dropout, augmentation, EMA and plateau."""
    return [stateful_config({**CHANGES, **changes}) for changes in MEMBERS]


def train(configs, folder, devices=1):
    workdirs = [folder / str(number) for number in range(len(configs))]
    return train_population(configs, workdirs, folder / "group", quiet=True, devices=jax.devices()[:devices])


@pytest.fixture(scope="module")
def together(configs, tmp_path_factory):
    """The Results of the population, on one device."""
    return train(configs, tmp_path_factory.mktemp("together"))


@pytest.fixture(scope="module")
def alone(configs, tmp_path_factory):
    """The Results of the same runs, each alone."""
    folder = tmp_path_factory.mktemp("alone")
    return [
        jaxcnn.train(config, folder / str(number), quiet=True, devices=jax.devices()[:1])
        for number, config in enumerate(configs)
    ]


@pytest.fixture
def assert_near(numbers):
    """Everything in two States agrees within 1e-4 of its largest entry."""

    def check(one, other):
        one, other = numbers(one), numbers(other)
        assert one.keys() == other.keys()
        for name in one:
            size = np.abs(one[name]).max(initial=0) if one[name].dtype == np.float32 else 0
            np.testing.assert_allclose(other[name], one[name], rtol=1e-4, atol=1e-4 * size, err_msg=name)

    return check


def test_a_member_is_the_run_alone(together, alone, assert_near, rows):
    for member, single in zip(together, alone, strict=True):
        assert_near(single.state, member.state)
        assert member.validation == pytest.approx(single.validation, rel=1e-4)
        assert member.test["top1"] == single.test["top1"] and member.test["step"] == single.test["step"]
        found, expected = rows(member.workdir), rows(single.workdir)
        assert len(found) == len(expected) == 12  # 8 of train: step 4, 5, 8, 10, ...; 4 held out
        for row, wanted in zip(found, expected, strict=True):
            assert row.pop("split") == wanted.pop("split")
            assert row == pytest.approx(wanted, rel=1e-4)


def test_members_have_operations_that_their_magnitudes_allow(tiny_config, tmp_path):
    """A perspective of 0.4 is refused at the magnitude 1, which the shared program had."""
    changes = {"duration": "2 steps", "evaluation.every": "2 steps", "checkpoint.every": "2 steps"}
    changes["augment.operations"] = (("perspective", 1.0, 0.4),)
    magnitudes = {"augment.magnitude": 0.5}, {"augment.magnitude": 0.25}
    members = train([tiny_config({**changes, **own}) for own in magnitudes], tmp_path)
    first, second = (jax.tree.leaves(member.state.params) for member in members)
    assert not all(map(np.array_equal, first, second))


def test_the_plateau_and_the_numbers_act_on_each_member_by_itself(together, alone, rows):
    rates = [[row["learning_rate"] for row in rows(r.workdir) if row["split"] == "train"] for r in together]
    assert [r[0] for r in rates] == pytest.approx([0.1, 0.02, 0.1])
    assert any(r[-1] < r[0] for r in rates), "no plateau has acted"
    losses = [[row["loss"] for row in rows(r.workdir) if row["split"] == "train"] for r in alone]
    assert min(abs(np.subtract(losses[a], losses[b])).max() for a, b in ((0, 1), (0, 2), (1, 2))) > 0.01


def test_a_member_has_the_files_of_the_run_alone(together, alone):
    def files(folder):
        return {str(p.relative_to(folder)) for p in folder.glob("*")} | {p.name for p in folder.glob("checkpoints/*")}

    for member, single in zip(together, alone, strict=True):
        kept = files(single.workdir) - {"15"}  # the latest but one
        assert kept <= files(member.workdir) | {str(single.validation["step"])}
        for name in ("config.json", "data.json", "preprocessing.safetensors"):
            assert (member.workdir / name).read_bytes() == (single.workdir / name).read_bytes(), name
        start = json.loads((member.workdir / "environment.json").read_text())["starts"][-1]
        assert (start["population"], start["members"]) == ("group", 3)


def test_a_member_is_opened_like_any_run(together, configs, assert_same_bits):
    member = together[1]
    _, row = jaxcnn.Trained(member.workdir).evaluate("test")
    assert row["step"] == member.validation["step"] == member.test["step"]
    assert row["top1"] == pytest.approx(member.test["top1"]) and row["loss"] == pytest.approx(member.test["loss"])
    again = jaxcnn.train(configs[1], member.workdir, quiet=True, devices=jax.devices()[:1])
    assert_same_bits(again.state, member.state)
    assert (again.validation, again.test) == (member.validation, member.test)


def test_a_diverging_member_is_frozen_and_touches_no_other(together, stateful_config, configs, tmp_path, rows, numbers):
    wild = stateful_config({**CHANGES, **MEMBERS[1], "optimizer.learning_rate": 1e30})
    found = train([configs[0], wild, configs[2]], tmp_path)
    for number in (0, 2):
        one, other = numbers(found[number].state), numbers(together[number].state)
        assert all(np.array_equal(one[name], other[name]) for name in one)
        assert rows(found[number].workdir) == rows(together[number].workdir)
        assert found[number].test == together[number].test
    assert isinstance(found[1], Diverged)
    step = re.match(r"training diverged at step (\d+): .* learning rate, 1e\+30, is too high", str(found[1]))[1]
    last = json.loads((tmp_path / "1" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last == {"event": "diverged", "step": int(step)}
    assert not (tmp_path / "1" / "evaluations.jsonl").exists()


class Killed(BaseException):
    """Ends a population as SIGKILL does: nothing is saved on the way out."""


@pytest.fixture
def end_at(monkeypatch):
    """end_at(position, how): how() is called when the record at this place of the stream is first read."""
    original = jaxcnn.data.Order.records

    def install(position, how):
        left = [position]

        def records(self, start, stop):
            if left and start <= left[0] < stop:
                left.pop()
                how()
            return original(self, start, stop)

        monkeypatch.setattr(jaxcnn.data.Order, "records", records)

    return install


def kill():
    raise Killed


def terminate():
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("how", "error", "start"), [(terminate, Preempted, 7), pytest.param(kill, Killed, 5, marks=pytest.mark.long)]
)
def test_broken_off_and_started_again_it_ends_with_the_same_bits(
    how, error, start, together, configs, tmp_path, end_at, rows, assert_same_bits
):
    end_at(7 * 16, how)  # step 7 runs, the inputs of step 8 are read; the last checkpoint is of step 5
    with pytest.raises(error):
        train(configs, tmp_path)
    turned = [tmp_path / str(number) for number in (2, 1, 0)]
    with pytest.raises(InputError, match=r"group holds a population of 0, 1, 2; these run directories are 2, 1, 0"):
        train_population(configs[::-1], turned, tmp_path / "group", quiet=True, devices=jax.devices()[:1])
    (tmp_path / "1" / "config.json").rename(tmp_path / "away.json")
    with pytest.raises(InputError, match=f"there is no run in {tmp_path / '1'}"):
        train(configs, tmp_path)
    (tmp_path / "away.json").rename(tmp_path / "1" / "config.json")
    again = train(configs, tmp_path)
    for one, other in zip(together, again, strict=True):
        assert_same_bits(one.state, other.state)
        assert rows(one.workdir) == rows(other.workdir)
        assert (one.validation, one.test) == (other.validation, other.test)
        starts = json.loads((other.workdir / "environment.json").read_text())["starts"]
        assert [s["from_step"] for s in starts] == [0, start]


@pytest.mark.parametrize("devices", [pytest.param(2, marks=pytest.mark.long), 8])
def test_members_laid_over_devices_equal_those_of_one(devices, together, configs, tmp_path, assert_near):
    for one, other in zip(together, train(configs, tmp_path, devices), strict=True):
        assert_near(one.state, other.state)
        assert other.validation == pytest.approx(one.validation, rel=1e-4)
        assert other.test["top1"] == one.test["top1"]


def test_side_by_side_as_on_an_accelerator_members_are_the_same(together, configs, tmp_path, monkeypatch, assert_near):
    monkeypatch.setattr(members, "_one_program", members.side_by_side)
    for one, other in zip(together, train(configs, tmp_path), strict=True):
        assert_near(one.state, other.state)
        assert other.validation == pytest.approx(one.validation, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.resident": "no"}, "the members of a population read a training set that lies on the device"),
        ({"batch_size": 8}, "differ only in seed, augment.magnitude, model.dropout"),
        ({"optimizer.momentum": 1.5}, "config.optimizer.momentum is 1.5"),
    ],
)
def test_what_cannot_be_a_population_is_refused(changes, message, configs, stateful_config, tmp_path):
    other = stateful_config({**CHANGES, **changes})
    with pytest.raises(InputError, match=message):
        train([other if "data.resident" in changes else configs[0], other], tmp_path)
