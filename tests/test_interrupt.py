"""The command line where Ctrl-C comes at a bad moment, and where nobody reads its output any more."""

import os
import pathlib
import subprocess
import sys

import pytest

# Python runs sitecustomize first. Each sends Ctrl-C once: when the command line's own modules are imported, in a
# callback of the garbage collector, which swallows exceptions, and when Python ends.
MOMENTS = {
    "import": """
class Finder:
    def find_spec(self, name, *_):
        if name == "jaxcnn.cli.benchmarks":
            interrupt()

sys.meta_path.insert(0, Finder())
""",
    "callback": """
def collected(*_):
    if "jaxcnn.cli.benchmarks" in sys.modules:
        gc.callbacks.clear()
        interrupt()

gc.callbacks.append(collected)
gc.set_threshold(1)
""",
    "exit": "atexit.register(interrupt)\n",
}
HEAD = "import atexit, gc, os, signal, sys\n\n\ndef interrupt():\n    os.kill(os.getpid(), signal.SIGINT)\n\n\n"
CONFIG = pathlib.Path(__file__).parents[1] / "configs" / "digits_lenet5.py"
SUMMARY, DRY_RUN = ["summary", "lenet5_common"], ["train", f"--config={CONFIG}", "--dry_run"]


def start(arguments, tmp_path, **options):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "jaxcnn", *arguments]
    return subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_ends_the_program_wherever_it_comes(moment, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HEAD + MOMENTS[moment])
    ended = start(["--help"], tmp_path, stdout=subprocess.DEVNULL)
    assert (ended.returncode, ended.stderr) == (130, "jaxcnn: interrupted\n")


@pytest.mark.parametrize("arguments", [SUMMARY, DRY_RUN])
def test_output_that_nobody_reads_ends_quietly(arguments, tmp_path):
    read, write = os.pipe()
    os.close(read)
    ended = start(arguments, tmp_path, stdout=write)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, "")
