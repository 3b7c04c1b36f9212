"""Every config is a valid run with its recipe written above it; every experiment is a study with its claim."""

import ast
import importlib.util
import pathlib
import re

import pytest

from jaxcnn import architectures
from jaxcnn.sweeps import load_study
from jaxcnn.sweeps.scales import SCALES
from jaxcnn.training.config import from_json, load_config, to_json
from jaxcnn.training.validate import validate

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
EXPERIMENTS = sorted(path for path in (ROOT / "experiments").glob("*.py") if not path.name.startswith("_"))
STUDIES = [path for path in EXPERIMENTS if "\ndef study(" in path.read_text()]  # others are scripts of their own
SCALED = [path for path in STUDIES if "\ndef study(scale=" in path.read_text()]


def load(path):
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_some():
    assert CONFIGS and EXPERIMENTS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config(path):
    module = load(path)
    for word in ("Command:", "Recipe:", "Hardware and time:"):
        assert word in module.__doc__
    command = re.search(r"Command: (python -m jaxcnn train .*)", module.__doc__)[1]
    assert f"--config=configs/{path.name} " in command and "--workdir=" in command
    config = module.get_config()
    validate(config)
    assert from_json(to_json(config)).to_dict() == config.to_dict()
    if not config.finetune.source:  # else it may be the source's
        architectures.create(config.model.name, **config.model.options)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_keys_of_the_command_are_keys_of_the_config(path):
    command = re.search(r"Command: python -m jaxcnn train (.*)", ast.get_docstring(ast.parse(path.read_text())))[1]
    flags = [word for word in command.split() if word.startswith("--config.")]
    validate(load_config([f"--config={path}", *flags]))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_states_its_claim(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring.partition("\n")[0].endswith("?")
    for word in ("Claim:", "Protocol:", "Refuted if:", "Cost:"):
        assert word in docstring


def check_study(study):
    runs = study.runs()
    assert len({run.id for run in runs}) == len(runs) > 1
    assert len({run.seed for run in runs}) >= 3  # honest statistics need a spread
    for run in runs:
        validate(run.config)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_study(path):
    check_study(load_study(path)[0])


@pytest.mark.parametrize("scale", [*SCALES, "folder:photos"])
@pytest.mark.parametrize("path", SCALED, ids=lambda path: path.stem)
def test_study_at_every_scale(path, scale):
    check_study(load_study(path, scale)[0])
