"""docs/gallery.md: every picture is there, small, and its command is one."""

import pathlib
import re
import shlex

import pytest

from jaxcnn import cli

GALLERY = pathlib.Path(__file__).parents[1] / "docs" / "gallery.md"
TEXT = GALLERY.read_text()
COMMANDS = re.findall(r"```bash\npython -m jaxcnn (.*?)\n```", TEXT, re.DOTALL)


def test_every_picture_is_there_and_has_a_command():
    """Each of the gallery's own; a picture of a study lies beside its record, which has the command."""
    shown = re.findall(r"!\[.+\]\((.+)\)", TEXT)
    pictures = [name for name in shown if name.startswith("gallery/")]
    of_studies = [name for name in shown if name not in pictures]
    assert all(name.startswith("../experiments/results/") and (GALLERY.parent / name).is_file() for name in of_studies)
    assert len(pictures) == len(COMMANDS) == len(set(pictures))
    assert {GALLERY.parent / name for name in pictures} == set((GALLERY.parent / "gallery").iterdir())
    for name in pictures:
        assert (GALLERY.parent / name).stat().st_size < 260_000, name


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(command, tmp_path, monkeypatch, capsys):
    """It stops at its run, which is not here; a slip in an option would stop it before."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(shlex.split(command.replace("\\\n", " "))) == cli.EXIT_INPUT
    assert "is not a run directory" in capsys.readouterr().err
