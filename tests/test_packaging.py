"""The promises of pyproject.toml: a command, and versions that both locks keep to."""

import pathlib
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import jaxcnn
from jaxcnn.training.rundir import environment as rundir

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(lock):
    lines = (line for line in (ROOT / lock).read_text().splitlines() if not line.startswith("#"))
    return {canonicalize_name(pinned.name): pinned for pinned in map(Requirement, lines)}


def wanted(*extras):
    listed = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    return [r for r in map(Requirement, listed) if r.name != "jaxcnn"]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-3.12.lock"])
def test_a_lock_pins_what_is_asked_for(lock):
    locked = pins(lock)
    for requirement in wanted(
        "sweeps", "vision", "detection", "captions", "hub", "pandas", "export", "wandb", "mlflow", "docs", "test", "dev"
    ):
        pinned = locked[canonicalize_name(requirement.name)].specifier
        assert [s.operator for s in pinned] == ["=="]
        assert requirement.specifier.contains(next(iter(pinned)).version), requirement


def test_the_citation_is_of_this_version():
    assert f"\nversion: {jaxcnn.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_cuda_is_pinned_to_the_jax_it_belongs_to():
    locked = pins("requirements-3.12.lock")
    assert locked["jax"].specifier == locked["jax-cuda13-plugin"].specifier == locked["jax-cuda13-pjrt"].specifier
    assert {"nvidia-cudnn-cu13", "nvidia-cublas", "nvidia-nccl-cu13"} <= set(locked)


def test_the_command_is_main_and_tells_its_version():
    module, _, function = PROJECT["scripts"]["jaxcnn"].partition(":")
    script = f"import sys; from {module} import {function}; sys.exit({function}())"  # as an installer writes it
    told = subprocess.run([sys.executable, "-c", script, "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (told.returncode, told.stdout, told.stderr) == (0, f"jaxcnn {jaxcnn.__version__}\n", "")


def test_no_message_says_to_install_what_no_index_has():
    assert [path for path in (ROOT / "jaxcnn").rglob("*.py") if "pip install 'jaxcnn" in path.read_text()] == []


def test_the_record_names_jaxcnns_commit_and_nobody_elses(tmp_path, monkeypatch):
    def git(folder, *arguments):
        run = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", folder, *arguments]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()

    def installed_in(root):
        monkeypatch.setattr(rundir, "__file__", str(root / "jaxcnn" / "training" / "rundir" / "environment.py"))
        (root / "jaxcnn" / "training" / "rundir").mkdir(parents=True)
        (root / "jaxcnn" / "training" / "rundir" / "environment.py").touch()

    installed_in(tmp_path / "mine" / ".venv" / "site-packages")
    assert rundir.environment()["git_commit"] is None  # no repository at all
    git(tmp_path / "mine", "init", "-q")
    git(tmp_path / "mine", "commit", "-q", "--allow-empty", "-m", "a stranger's")
    assert rundir.environment()["git_commit"] is None

    checkout = tmp_path / "checkout"
    installed_in(checkout)
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "jaxcnn's")
    commit = git(checkout, "rev-parse", "HEAD")
    assert rundir.environment()["git_commit"] == commit
    (checkout / "jaxcnn" / "training" / "rundir" / "environment.py").write_text("changed")
    assert rundir.environment()["git_commit"] == commit + "+"
