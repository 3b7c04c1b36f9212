"""The benchmark: what it times is the same work, and its ratios are those of the times."""

import json

import numpy as np
import pytest

from jaxcnn import cli
from jaxcnn.architectures import create
from jaxcnn.benchmark.cases import CASES
from jaxcnn.benchmark.timing import geometric_mean, interleaved, ratio


def test_contenders_run_in_turn_and_equally_often():
    calls = []
    contenders = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = interleaved(contenders, rounds=5, least_s=0.0)
    assert "".join(calls) == "aabb" + "aabb" * 5  # warm and measured, before the rounds and in each
    assert all(times[name].shape == (5,) and (times[name] > 0).all() for name in contenders)


def test_ratio_is_taken_round_by_round():
    # the machine slows down tenfold in the last rounds: the ratio of every round stays 2
    slow = np.array([1.0, 1.0, 10.0, 10.0])
    assert ratio(2 * slow, slow) == (2.0, (2.0, 2.0))
    assert ratio(np.array([2.0, 4.0]), np.ones(7))[0] == 3.0


def test_geometric_mean_of_a_ratio_and_its_inverse_is_one():
    assert geometric_mean([4.0, 0.25]) == pytest.approx(1.0)


def test_every_case_is_named_once():
    names = [(case.network, case.name) for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.network} {case.name}")
def test_plain_and_ours_are_the_same_function(case):
    import jax

    from jaxcnn.benchmark.operators import OURS, PLAIN, random_arrays

    small = case._replace(image=(1, *case.image[1:])) if case.operator != "dense" else case
    arrays = random_arrays(small, "forward")
    ours = jax.eval_shape(lambda *a: OURS[case.operator](*a, **case.options), *arrays)
    plain = jax.eval_shape(lambda *a: PLAIN[case.operator](*a, **case.options), *arrays)
    assert (ours.shape, ours.dtype) == (plain.shape, plain.dtype)


def test_verb_prints_rows_and_writes_them_with_their_versions(tmp_path, capsys):
    path = tmp_path / "rows.json"
    command = ["benchmark", "operators", "--only", "lenet5 dense", "--rounds", "2", "--output", str(path)]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    assert printed.count("dense 128x400 400x120") == 3 and "geometric means over 3 rows" in printed
    record = json.loads(path.read_text())
    assert [row["pass"] for row in record["rows"]] == ["forward", "input", "kernel"]
    assert all(row["ours"] > 0 and row["loop"] > 0 and row["plain"] > 0 for row in record["rows"])
    assert record["versions"]["jaxlib"] and record["devices"]


def test_steps_are_compiled_and_timed(capsys, monkeypatch):
    monkeypatch.setattr("jaxcnn.benchmark.steps.NETWORKS", {"lenet5": 4, "mlp": 4})
    assert cli.main(["benchmark", "steps", "--only", "mlp", "--rounds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "mlp            4 x 28x28x1" in printed and "lenet5" not in printed


@pytest.mark.long
def test_a_population_is_timed_beside_the_step_alone(capsys, monkeypatch):
    monkeypatch.setattr("jaxcnn.benchmark.population.NETWORKS", {"mlp": (4, (2,)), "lenet5": (4, (1,))})
    assert cli.main(["benchmark", "population", "--only", "mlp", "--rounds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "mlp            batch    4    2 members" in printed and "lenet5" not in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--only", "lenet6"), "no row has 'lenet6'"),
        (("--rounds", "0"), "--rounds is 0"),
        (("--output", "/nowhere/rows.json"), "/nowhere/rows.json cannot be written"),
    ],
)
def test_wrong_input_is_named(options, message, capsys):
    assert cli.main(["benchmark", "operators", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parity
@pytest.mark.parametrize(
    "name", ["lenet5 conv2d 128x14x14x6", "alexnet conv2d 16x27", "lenet5 average", "resnet20 batch"]
)
def test_torch_side_does_the_same_work(name):
    torch = pytest.importorskip("torch")
    from jaxcnn.benchmark import torch_operators
    from jaxcnn.benchmark.operators import PLAIN, random_arrays

    case = next(c for c in CASES if name in f"{c.network} {c.name}")
    arrays = random_arrays(case, "forward")
    expected = np.asarray(PLAIN[case.operator](*arrays, **case.options))
    for function in torch_operators.contenders(case, "forward", arrays, accelerator=False).values():
        np.testing.assert_allclose(function().permute(0, 2, 3, 1).numpy(), expected, atol=2e-4 * np.abs(expected).max())
    assert isinstance(function(), torch.Tensor)


@pytest.mark.long
def test_augmentation_is_timed_as_a_share_of_a_step(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("jaxcnn.benchmark.augment.create", lambda name: create(name).clone(depth=8))
    path = tmp_path / "rows.json"
    assert cli.main(["benchmark", "augment", "--only", "pad-crop", "--rounds", "1", "--output", str(path)]) == 0
    assert "of a resnet20 step" in capsys.readouterr().out
    alone, inside = json.loads(path.read_text())["rows"]
    assert (alone["name"], inside["name"]) == ("pad-crop, flip, normalise", "pad-crop, flip in the step")
    assert 0 < alone["of a step"][0] < 1  # moving pixels is less work than training on them
    assert inside["of a step"][0] < 1
