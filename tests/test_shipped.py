"""Configs and studies of jaxcnn's own, found by name: from the checkout, and from an installed wheel."""

import os
import pathlib
import subprocess
import sys
import sysconfig

import pytest

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.errors import InputError
from jaxcnn.shipped import shipped
from jaxcnn.sweeps import load_study
from jaxcnn.training.config import load_config, to_json

ROOT = pathlib.Path(jaxcnn.__file__).parents[1]


def test_a_config_and_a_study_are_found_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_name, by_path = (load_config([f"--config={c}"]) for c in ("digits_lenet5", ROOT / "configs/digits_lenet5.py"))
    assert to_json(by_name) == to_json(by_path)
    assert load_study("digits")[1] == load_study(ROOT / "experiments/digits.py")[1]


def test_what_lies_here_comes_first_and_an_unknown_name_names_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").touch()
    assert shipped("experiments", "digits") == pathlib.Path("digits")
    assert shipped("configs", "own/digits_lenet5") == pathlib.Path("own/digits_lenet5")
    with pytest.raises(
        InputError, match=r"no file of jaxcnn's configs is named 'digit_lenet5'; did you mean .*; or give a path\."
    ):
        load_config(["--config=digit_lenet5"])
    with pytest.raises(InputError, match="no file of jaxcnn's experiments is named '_record'"):
        load_study("_record")


def test_a_mistyped_verb_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["trian", "--config=digits_lenet5"])
    assert ended.value.code == 2 and "there is no verb 'trian'; did you mean 'train'" in capsys.readouterr().err


@pytest.mark.long
def test_a_wheel_holds_what_it_needs(tmp_path):
    def pip(*arguments):
        subprocess.run([sys.executable, "-m", "pip", "--quiet", *map(str, arguments)], check=True)

    pip("wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    pip("install", "--no-deps", "--ignore-installed", "--prefix", tmp_path / "prefix", wheel)
    purelib = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "prefix")})
    environment = {**os.environ, "PYTHONPATH": purelib}
    command = [tmp_path / "prefix/bin/jaxcnn", "train", "--config=digits_lenet5", "--workdir=w"]
    command.append("--config.duration=2 steps")
    subprocess.run(list(map(str, command)), cwd=tmp_path, env=environment, check=True)
    code = "import jaxcnn, jaxcnn.shipped as s; print(jaxcnn.__file__, s.shipped('experiments', 'digits'))"
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert all(str(tmp_path / "prefix") in path for path in said.stdout.split()) and len(said.stdout.split()) == 2
