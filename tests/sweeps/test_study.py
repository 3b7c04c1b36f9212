"""A study's runs and their names."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcnn.errors import InputError
from jaxcnn.sweeps import Claim, Measure, Study, load_study
from jaxcnn.sweeps.search import Range, Search
from jaxcnn.training.config import default_config, differences


def runs(tiny_config, factors, seeds=(0,), **changes):
    return Study(tiny_config(changes), factors, seeds).runs()


def test_every_combination_and_every_seed(tiny_config):
    factors = {"optimizer.learning_rate": (0.1, 0.2), "optimizer.name": ("sgd", "adam")}
    found = runs(tiny_config, factors, seeds=(3, 4))
    cells = [f"learning_rate={rate}, name={name}" for rate in (0.1, 0.2) for name in ("sgd", "adam")]
    assert [(run.cell, run.seed) for run in found] == [(cell, seed) for cell in cells for seed in (3, 4)]
    for run in found:
        config = run.config
        assert run.cell == f"learning_rate={config.optimizer.learning_rate}, name={config.optimizer.name}"
        assert config.seed == run.seed
    assert len({run.id for run in found}) == 8
    base = tiny_config()
    assert [key for key, _, _ in differences(base, found[0].config)] == ["seed"]
    assert base.seed == 0 and base.optimizer.learning_rate == 0.1  # untouched


@pytest.mark.parametrize("name", ["orl", "teacher_checks"])
def test_a_program_is_named_as_one(name):
    with pytest.raises(InputError, match=rf"is a program, without study.*: python .*{name}\.py --help"):
        load_study(name)


def test_the_same_config_has_the_same_id(tiny_config):
    factors = {"optimizer.learning_rate": (0.1, 0.2), "optimizer.momentum": (0.5,)}
    turned = dict(reversed(factors.items()))
    first = {run.id for run in runs(tiny_config, factors)}
    assert first == {run.id for run in runs(tiny_config, factors)} == {run.id for run in runs(tiny_config, turned)}


def test_an_id_outlives_a_new_key_at_its_default(tiny_config, monkeypatch):
    (before,) = runs(tiny_config, {"optimizer.learning_rate": (0.3,)})

    def with_one_more():
        with (config := default_config()).unlocked():
            config.optimizer.of_tomorrow = 0.0
        return config

    monkeypatch.setattr("jaxcnn.sweeps.study.default_config", with_one_more)
    with (base := tiny_config()).unlocked():
        base.optimizer.of_tomorrow = 0.0
    (after,) = Study(base, {"optimizer.learning_rate": (0.3,)}, (0,)).runs()
    base.optimizer.of_tomorrow = 1.0
    (changed,) = Study(base, {"optimizer.learning_rate": (0.3,)}, (0,)).runs()
    assert before.id == after.id != changed.id


def test_the_options_of_a_loss_and_of_others_are_factors(tiny_config):
    base = tiny_config({"loss.name": "focal", "optimizer.name": "optax:lion"})
    study = Study(base, {"loss.options.gamma": (0.0, 2.0), "optimizer.options": ({"b1": 0.8}, {})}, (0,))
    found = {
        run.cell: (run.config.loss.options.to_dict(), run.config.optimizer.options.to_dict()) for run in study.runs()
    }
    assert list(found.values()) == [({"gamma": g}, b) for g in (0.0, 2.0) for b in ({"b1": 0.8}, {})]
    assert len({run.id for run in study.runs()}) == 4
    search = Search(base, {"loss.options.gamma": Range(0.0, 5.0)})
    assert search.config({"loss.options.gamma": 3.0}).loss.options.to_dict() == {"gamma": 3.0}


def test_a_long_level_makes_no_long_folder(tiny_config):
    rotations = tuple(("rotate", 0.5, float(degrees)) for degrees in range(1, 40))
    found = runs(tiny_config, {"augment.operations": (rotations, rotations[:-1])})
    assert len({run.id for run in found}) == 2 and all(len(run.id) < 200 for run in found)


def test_any_other_config_has_another_id(tiny_config):
    factors = {"optimizer.learning_rate": (0.1,)}
    (run,), (other,) = runs(tiny_config, factors), runs(tiny_config, factors, batch_size=16)
    assert run.id != other.id and run.cell == other.cell
    (seeded,) = runs(tiny_config, factors, seeds=(1,))
    assert len({run.id, other.id, seeded.id}) == 3


def test_options_of_the_architecture_are_factors(tiny_config):
    found = runs(tiny_config, {"model.options.activation": ("tanh", "relu"), "model.options.widths": ((2,), (4,))})
    assert [run.config.model.options.activation for run in found] == ["tanh", "tanh", "relu", "relu"]
    assert [run.config.model.options.widths for run in found] == [(2,), (4,)] * 2
    assert all(c.isalnum() or c in "=.-_" for run in found for c in run.id)  # a folder's name


def test_numpys_values_are_pythons(tiny_config):
    """The ids, cells and files of such a study are those of one with plain numbers."""
    plain = {"batch_size": (32, 64), "optimizer.learning_rate": (0.5, 0.25), "model.options.widths": ((4, 8),)}
    given = {
        "batch_size": np.array([32, 64]),
        "optimizer.learning_rate": (np.float32(0.5), jnp.float32(0.25)),
        "model.options.widths": (np.array([4, 8]),),
    }
    draws = {"what": {"drawn": {"batch_size": lambda seed: np.int64(32 + seed), "augment.flip": np.bool_(True)}}}
    expected, found = (Study(tiny_config(), f, s).runs() for f, s in ((plain, (0, 1)), (given, np.arange(2))))
    assert [(run.id, run.cell, run.levels) for run in found] == [(run.id, run.cell, run.levels) for run in expected]
    assert all(type(run.config.batch_size) is type(run.seed) is int for run in found)
    (run,) = runs(tiny_config, draws, seeds=(1,))
    assert run.config.batch_size == 33 and run.config.augment.flip is True


def test_without_factors_there_is_one_cell(tiny_config):
    assert [run.cell for run in runs(tiny_config, {}, seeds=(0, 1))] == ["base", "base"]


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ({"optimizer.learning_rat": (0.1,)}, "'optimizer.learning_rate'"),
        ({"optimizer": (0.1,)}, "not a key"),
        ({"optimizer.learning_rate": ()}, "no levels"),
        ({"optimizer.learning_rate": ("high",)}, "'high'"),
        ({"batch_size": (0.5,)}, "0.5"),
        ({"seed": (1, 2)}, "seeds"),
    ],
)
def test_factors_that_cannot_be_are_refused(tiny_config, factors, words):
    with pytest.raises(InputError, match=words):
        runs(tiny_config, factors)


RECIPES = {
    "plain": {},
    "adam": {"optimizer.name": "adam", "optimizer.learning_rate": 0.001, "model.options.widths": (2,)},
    "drawn": {"optimizer.learning_rate": lambda seed: 0.01 * (seed + 1)},
}


def test_a_factor_of_several_keys(tiny_config):
    plain, adam, *drawn = runs(tiny_config, {"recipe": RECIPES}, seeds=(3,))
    assert [plain.cell, adam.cell, drawn[0].cell] == ["recipe=plain", "recipe=adam", "recipe=drawn"]
    assert [key for key, _, _ in differences(tiny_config(), plain.config)] == ["seed"]
    changed = {key: new for key, _, new in differences(tiny_config(), adam.config)}
    assert changed == {**RECIPES["adam"], "seed": 3} and adam.levels == {"recipe": "adam"}
    assert drawn[0].config.optimizer.learning_rate == 0.04
    study = Study(tiny_config(), {"recipe": RECIPES}, claims=(Claim("", {"recipe": "adam"}, {"recipe": "plain"}),))
    assert len({run.id for run in study.runs()}) == 15


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"optimizer.learning_rat": 0.1}, "'recipe': 'optimizer.learning_rat' is not.*'optimizer.learning_rate'"),
        ({"seed": 1}, "'recipe': 'seed': the seeds"),
        ({"optimizer.name": 3}, "'recipe': 3 is no value of optimizer.name"),
    ],
)
def test_what_a_level_of_several_keys_cannot_set(tiny_config, values, words):
    with pytest.raises(InputError, match=words):
        runs(tiny_config, {"recipe": {"mine": values}})


def test_load_study(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text('"""Why?"""\nfrom jaxcnn import default_config\nfrom jaxcnn.sweeps import Study\n\n')
    with pytest.raises(InputError, match="no function study"):
        load_study(path)
    path.write_text(path.read_text() + "def study():\n    return Study(default_config(), {}, (7,))\n")
    study, docstring = load_study(path)
    assert docstring == "Why?" and study.runs()[0].seed == 7
    text = path.read_text()
    path.write_text(text.replace("{}, (7,)", "{'seed': {'a': {'batch_size': lambda seed: 1 // 0}}}, (7,)"))
    with pytest.raises(InputError, match=r"mine\.py, line \d+: ZeroDivisionError"):
        load_study(path)
    late = (
        "from __future__ import annotations\nimport dataclasses\n\n\n@dataclasses.dataclass\nclass Own:\n    x: int\n\n"
    )
    path.write_text(late + text.partition("\n")[2])
    assert load_study(path)[0].seeds == (7,)
    with pytest.raises(InputError, match=r"mine\.py"):
        load_study(tmp_path / "min.py")


def claimed(**changes):
    sides = {"higher": {"optimizer.name": "sgd"}, "lower": {"optimizer.name": "adam"}}
    return Claim("SGD tests better.", **{**sides, **changes})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"claims": (claimed(higher={"optimizer.nam": "sgd"}),)}, "'SGD tests better.'.*'optimizer.name'"),
        ({"claims": (claimed(lower={"optimizer.name": "adm"}),)}, "'adm' is not a level.*'adam'"),
        ({"claims": (claimed(metric="test_top"),)}, "'test_top'.*'test_top1'"),
        ({"claims": (claimed(metric="steps_to_2"),), "measures": {"steps_to_25": Measure(len)}}, "'steps_to_25'"),
        ({"claims": (claimed(lower={"optimizer.momentum": 0.5}),)}, "both sides"),
        ({"claims": (claimed(direction="below"),)}, "direction is 'below'"),
        ({"claims": (claimed(margin=-0.1),)}, "margin is -0.1; of 'test_top1' it is a positive number"),
        ({"claims": (claimed(margin=2),)}, "'test_top1' is a fraction, half a point is 0.005"),
        ({"claims": (claimed(metric="seconds", margin=0.5),)}, "a factor above 1"),
        ({"claims": (claimed(under=({"optimizer.momentum": 0.5},)),)}, "under has 1 places"),
        ({"claims": (claimed(under=({"optimizer.momentum": 0.5}, {"optimizer.momentum": 0.5})),)}, "at both places"),
        ({"claims": (claimed(under=({"optimizer.name": "sgd"}, {"optimizer.momentum": 0.5})),)}, "a side and a place"),
        ({"baseline": {"optimizer.name": "sg"}}, "baseline: 'sg'.*'sgd'"),
        ({"baseline": {"optimizer.name": "sgd"}}, "baseline: 2 cells"),
        ({"paper": {"name=sgd, momentum=0.4": (1.0, "table 1")}}, "'name=sgd, momentum=0.5'"),
        ({"measures": {"seconds": Measure(len)}}, "'seconds'"),
    ],
)
def test_what_no_run_could_decide_is_refused_at_once(tiny_config, options, words):
    factors = {"optimizer.name": ("sgd", "adam"), "optimizer.momentum": (0.5, 0.9)}
    with pytest.raises(InputError, match=words):
        Study(tiny_config(), factors, (0,), **options)


@pytest.mark.parametrize(
    ("factors", "seeds", "words"),
    [({}, (0, 1, 0), "seeds: one is twice"), ({"optimizer.momentum": (0.5, 0.50)}, (0,), "factors: two levels")],
)
def test_what_would_count_one_run_twice_is_refused(factors, seeds, words, tiny_config):
    with pytest.raises(InputError, match=words):
        Study(tiny_config(), factors, seeds)


def test_the_seeds_that_a_sweep_adds_are_the_next_whole_numbers(tiny_config):
    study = Study(tiny_config(), {"optimizer.name": ("sgd", "adam")}, (7, 3))
    grown = dataclasses.replace(study, until={"name=sgd": 4, "name=adam": 2})
    found = [(run.cell, run.seed) for run in grown.runs()]
    assert found == [("name=sgd", seed) for seed in (7, 3, 8, 9)] + [("name=adam", seed) for seed in (7, 3)]
    assert {run.id for run in study.runs()} <= {run.id for run in grown.runs()}


def test_levels_of_a_run_and_of_a_cell(tiny_config):
    study = Study(tiny_config(), {"optimizer.name": ("sgd", "adam"), "model.name": ("convnet",)}, (0,))
    names = ["optimizer.name=sgd, model.name=convnet", "optimizer.name=adam, model.name=convnet"]
    assert list(study.cells()) == [run.cell for run in study.runs()] == names
    assert list(study.cells().values()) == [run.levels for run in study.runs()]
    assert study.runs()[1].levels == {"optimizer.name": "adam", "model.name": "convnet"}


SCALED = """from jaxcnn import default_config
from jaxcnn.sweeps import Study

def study({argument}):
    if scale == "imagenet":
        raise ValueError("no scale imagenet here")
    return Study(default_config(), {{"data.name": (scale,)}}, (0,))
"""


def test_the_scale_is_passed_on(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(SCALED.format(argument='scale="digits"'))
    for scale, name in ((None, "digits"), ("mnist", "mnist"), ("folder:/a", "folder:/a")):
        assert load_study(path, scale)[0].factors == {"data.name": (name,)}
    with pytest.raises(InputError, match=r"mine\.py: no scale imagenet here"):
        load_study(path, "imagenet")
    with pytest.raises(InputError, match="'mnist'"):
        load_study(path, "mnst")
    path.write_text("scale = 'digits'\n" + SCALED.format(argument=""))
    assert load_study(path)[0].factors == {"data.name": ("digits",)}
    with pytest.raises(InputError, match="takes no argument `scale`"):
        load_study(path, "mnist")
