"""A run knows what code of the user's own it was made of: kept, compared at every start, named where it changed."""

import hashlib
import importlib
import json
import logging
import sys

import pytest

import jaxcnn
from jaxcnn import InputError
from jaxcnn.sweeps import Study
from jaxcnn.sweeps.worker import find_run
from jaxcnn.training.rundir.code import code_digest

NETS = """
import flax.linen as nn
from jaxcnn_test_project.layers import width

class Net(nn.Module):
    num_classes: int = 10

    @nn.compact
    def __call__(self, x, *, train: bool):
        return nn.Dense(self.num_classes)(nn.relu(nn.Dense(width())(x.reshape(x.shape[0], -1)))), {}
"""
LAYERS = "def width():\n    return 4\n"
CHANGED = "def width():\n    return 2 + 2\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """write(layers) writes a package of the user's own and forgets what was imported of it, as another process has."""
    folder = tmp_path / "src" / "jaxcnn_test_project"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(folder.parent)

    def forget():
        for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def write(layers):
        for name, text in (("__init__", ""), ("nets", NETS), ("layers", layers), ("unused", "1 / 0\n")):
            (folder / f"{name}.py").write_text(text)
        forget()

    write(LAYERS)
    yield write
    forget()


@pytest.fixture
def config(tiny_config):
    changes = {"model.name": "jaxcnn_test_project.nets:Net", "model.options": {}, "duration": "2 steps"}
    return tiny_config({**changes, "checkpoint.every": "1 steps", "evaluation.every": "1 steps"})


def test_code_of_ours_is_none_of_the_users(tiny_config):
    """A study's ids do not move with a version of jaxcnn, wherever in it the code lies."""
    assert code_digest(tiny_config({"loss.name": "jaxcnn.transfer.forgetting:likelihood"})) == ""


def hashes(folder):
    return {name: about["sha256"] for name, about in json.loads((folder / "hashes.json").read_text()).items()}


def test_the_sources_lie_in_the_run_and_a_change_is_refused(project, config, tmp_path, caplog, one_device):
    run, code = tmp_path / "run", tmp_path / "run" / "code"

    def start(**options):
        return jaxcnn.train(config, run, quiet=True, devices=one_device, **options)

    start()
    names = ["jaxcnn_test_project/__init__.py", "jaxcnn_test_project/layers.py", "jaxcnn_test_project/nets.py"]
    kept = hashes(code)
    assert [name for name in sorted(kept) if not name.startswith("given/")] == names
    assert (code / names[1]).read_text() == LAYERS and kept[names[1]] == hashlib.sha256(LAYERS.encode()).hexdigest()
    (begun,) = json.loads((run / "environment.json").read_text())["starts"]
    assert len(begun["code"]["sha256"]) == 64 and list(begun["code"]["git_commits"].values()) == [None]
    start()  # nothing has changed
    project(CHANGED)
    with pytest.raises(InputError, match=r"layers\.py changed since .*--allow-changed-code") as refused:
        start()
    assert "-    return 4" in str(refused.value) and "+    return 2 + 2" in str(refused.value)
    assert hashes(code) == kept
    with caplog.at_level(logging.WARNING):
        jaxcnn.Trained(run)
    (warning,) = [r.getMessage() for r in caplog.records if "changed since" in r.getMessage()]
    assert names[1] in warning and names[2] not in warning
    start(allow_changed_code=True)
    assert (code / names[1]).read_text() == CHANGED and (code / "before-1" / names[1]).read_text() == LAYERS
    assert hashes(code / "before-1") == kept != hashes(code)
    codes = [row["code"]["sha256"] for row in json.loads((run / "environment.json").read_text())["starts"]]
    assert codes[0] == codes[1] != codes[2]
    start()


def test_another_version_of_the_users_code_is_another_run_of_a_study(project, config, tiny_config):
    before = Study(config, {}, seeds=(0,)).runs()[0].id
    assert Study(config, {}, seeds=(0,)).runs()[0].id == before
    project(CHANGED)
    study = Study(config, {}, seeds=(0,))
    assert study.runs()[0].id not in (before, None)
    with pytest.raises(InputError, match="has changed since this run was submitted"):
        find_run(study, before)
    # A network of ours has the id that it had before there was a record of code.
    assert Study(tiny_config(), {}, seeds=(0,)).runs()[0].id == "base-seed=0-3b13701ccb"
