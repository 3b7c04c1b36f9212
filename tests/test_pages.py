"""README.md and docs/: every command is understood, or listed here as not run; every page is in the site."""

import pathlib
import re
import shlex

import pytest

from jaxcnn import cli

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(path for path in DOCS.glob("*.md") if path.stem not in ("faces", "gallery"))]
NOT_RUN = (  # here; the first three are of launch.sh, which CI calls
    r"^$",
    r"^test$",
    r"^(VERB )?--help$",
    r"^(summary|frontier|audit|benchmark) ",  # need nothing, and take long: their own tests run them
    r"^reproduce( --output .*)?$",  # lists what is there: tests/sweeps
    r"^prepare tfds:",  # downloads
    r"--coordinator",  # waits for another host: tests/training/test_processes.py
    r"--dry-run$",  # prints a script: tests/sweeps
)
MISSING = (
    r"is not a run directory|is not a folder|is not prepared|there is no (config |study )?(file|directory)|"
    r"not in the cache|cannot be written|No such file|has no run 'ID'|no module 'my_project|not 'NAME'"
)


def commands(text):
    """What stands behind ./launch.sh in the fenced commands of a page, and in its sentences."""
    fenced = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    inline = re.findall(r"`([^`]*\./launch\.sh [^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [
        line.replace("...", "--workdir=runs/a").translate({ord("["): None, ord("]"): None})
        for line in [*fenced.splitlines(), *inline]
    ]
    split = [shlex.split(line, comments=True) for line in lines]
    return [shlex.join(words[words.index("./launch.sh") + 1 :]) for words in split if "./launch.sh" in words]


COMMANDS = sorted({command for page in PAGES for command in commands(page.read_text())})
RUN = [command for command in COMMANDS if not any(re.search(pattern, command) for pattern in NOT_RUN)]


@pytest.mark.parametrize("command", RUN)
def test_a_command_is_understood(command, tmp_path, monkeypatch, capsys):
    """It stops at what is not here; a slip in an option or a key would stop it before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read when it is imported
    (tmp_path / "runs").touch()  # a file, in which nothing can be written
    command = re.sub(r"(configs|experiments)/(?=\w+\.py)", rf"{ROOT}/\1/", command.replace("/shared/runs", "runs"))
    assert cli.main(shlex.split(command)) == cli.EXIT_INPUT
    assert re.search(MISSING, said := " ".join(capsys.readouterr().err.split())), said


def test_every_page_and_public_package_is_in_the_site():
    listed = (DOCS / "conf.py").read_text()
    assert [path.stem for path in DOCS.glob("*.md") if f'"{path.stem}"' not in listed] == []
    index = (DOCS / "api" / "index.md").read_text()
    assert [path.stem for path in (DOCS / "api").glob("*.md") if path.stem not in ("index", *index.splitlines())] == []
    named = "\n".join(path.read_text() for path in (DOCS / "api").glob("*.md"))
    packages = {path.parent.name for path in (ROOT / "jaxcnn").glob("*/__init__.py")} - {"cli", "benchmark"}
    assert [name for name in sorted(packages) if f".. automodule:: jaxcnn.{name}\n" not in named] == []


def test_the_readme_is_one_screen():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 80
    for name in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / name).exists(), name
