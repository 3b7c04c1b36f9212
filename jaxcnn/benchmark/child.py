"""A Python process of its own, for what must be timed from its start or needs JAX set up in another way."""

import os
import pathlib
import subprocess
import sys

from jaxcnn.errors import InputError


def run_module(module: str, *arguments: object, **environment: str) -> str:
    """Runs `python -m MODULE ARGUMENTS` with this jaxcnn and more variables of the environment; returns what it prints.

    Raises:
      InputError: it failed; with the last line of its errors.
    """
    package = str(pathlib.Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-P", "-m", module, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": path, **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise InputError(f"{module} {' '.join(map(str, arguments))} failed: {last[0]}")
    return done.stdout
