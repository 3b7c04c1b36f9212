"""docs/faces.md: its commands are ones, and the files that it names are there."""

import pathlib
import re
import shlex

import pytest

from jaxcnn import cli
from jaxcnn.sweeps import load_study

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "faces.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"^\./launch\.sh (.*)$", "\n".join(BLOCKS), re.MULTILINE)
NOT_HERE = {
    "train": "PEOPLE is not a folder|is not a run directory",
    "verify": "is not a run directory",
    "identify": "is not a run directory",
    "sweep": "FACES",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(command, tmp_path, monkeypatch, capsys):
    """It stops at its run or its images, which are not here; a slip in an option would stop it before."""
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("configs/", f"{ROOT}/configs/").replace("experiments/", f"{ROOT}/experiments/"))
    assert cli.main(words) == cli.EXIT_INPUT
    assert re.search(NOT_HERE[words[0]], " ".join(capsys.readouterr().err.split()))


def test_what_it_names_is_there():
    assert len(COMMANDS) == 9 and len(re.findall(r"^(\./launch|python)", "\n".join(BLOCKS), re.MULTILINE)) == 11
    for name in re.findall(r"\]\(\.\./(.*?)\)", TEXT):
        assert (ROOT / name).is_file()
    assert len(load_study(ROOT / "experiments" / "registered.py", "folder:FACES")[0].runs()) == 32
