"""Times a study as one population against its runs one after another, each a process `python -m jaxcnn train`.

python experiments/results/population/compare.py STUDY.py ROUNDS OUTPUT.json: both in turn, every round with a
compilation cache that is warm for both, after one round with caches that are empty.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from jaxcnn.sweeps import load_study
from jaxcnn.training.config import to_json
from jaxcnn.training.rundir.environment import environment


def timed(commands, cache):
    """Wall and processor seconds of processes one after another."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    for command in commands:
        arguments = [sys.executable, "-m", "jaxcnn", *command]
        subprocess.run(
            arguments, check=True, env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)}, capture_output=True
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": time.monotonic() - begin, "cpu": cpu}


def alone(runs, folder):
    """The commands that train the runs."""
    commands = []
    for run in runs:
        file = folder / f"{run.id}.py"
        file.write_text(
            f"from jaxcnn.training.config import from_json\n\n\ndef get_config():\n"
            f"    return from_json({to_json(run.config)!r})\n"
        )
        commands.append(["train", "--quiet", f"--config={file}", f"--workdir={folder / 'alone' / run.id}"])
    return commands


def main(study, rounds, output):
    runs, rows = load_study(study)[0].runs(), []
    with tempfile.TemporaryDirectory() as caches:
        for number in range(int(rounds) + 1):
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                together = ["sweep", str(study), "--workdir", str(folder / "together"), "--runner", "population"]
                for kind, commands in (("population", [together]), ("alone", alone(runs, folder))):
                    load = os.getloadavg()[0]
                    row = timed(commands, pathlib.Path(caches) / kind)
                    cache = "warm" if number else "cold"
                    rows.append({"round": number, "kind": kind, "runs": len(runs), "cache": cache, "load": load, **row})
                    print(rows[-1], flush=True)
                    pathlib.Path(output).write_text(json.dumps({**environment(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
