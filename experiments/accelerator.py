"""Does what holds on CPU hold on an accelerator, and how fast is it there beside PyTorch?

Claim: every number is that of the CPU within the bounds of its precision; a training step takes no longer than
    PyTorch's compiled one; 16 small runs in one program take less than a quarter of the time of one after another; the
    loader feeds resnet50; CIFAR-10 reaches the errors of He et al. 2015; two deterministic runs are equal to the bit.
Protocol: parts, each a process of its own with a limit of 9 minutes and a result, NAME.json, that states command,
    commit, device, driver and versions. A part that is done is not run again, one that was cut off goes on:
        python experiments/accelerator.py run --output runs/accelerator --data_dir ../shared/tfds
    docs/accelerators.md has the commands for a machine without a network, in order.
Refuted if: a part ends as `failed`, or its ratios say otherwise.
Cost: about half an hour of one H100 without the full lengths of CIFAR-10; with --tiny, a minute of one core.
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

import _kit_carry

ROOT = pathlib.Path(__file__).parents[1]
LIMIT_S = 540
SAVING_S = 60  # from SIGTERM until a part is killed: a run saves its state
LEAST_S = 30  # no part is begun with less left
DONE, FAILED, UNFINISHED = "done", "failed", "unfinished"
TAIL = 3000  # characters of its output that a result keeps


def main(arguments: list[str] | None = None) -> int:
    """Runs a subcommand; returns the exit code: 0, 1 where a part failed or is unfinished, 2 for wrong input."""
    sys.path.insert(0, str(ROOT))  # a bare machine has jaxcnn from this checkout alone
    arguments = _parser().parse_args(arguments)
    try:
        return arguments.function(arguments)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"accelerator: {error}", file=sys.stderr)
        return 2


def run(arguments: argparse.Namespace) -> int:
    """Runs the parts that are not done, one after another, until they or the minutes end."""
    if lost := _kit_carry.missing():
        raise ValueError(
            f"this Python lacks {', '.join(lost)}: carry wheels (accelerator.py wheels), see docs/accelerators.md"
        )
    from _kit_parts import TINY_STUDY, parts

    end = time.monotonic() + 60 * arguments.minutes
    output = arguments.output.resolve()
    if arguments.state and not output.exists():
        _kit_carry.join(arguments.state, output.parent).rename(output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "tiny.py").write_text(TINY_STUDY)
    environment = _environment(arguments)
    where = surroundings(environment, arguments.commit)
    chosen = [part for part in parts(tiny=arguments.tiny) if arguments.only in part.name]
    if not chosen:
        raise ValueError(f"no part has '{arguments.only}' in its name; accelerator.py parts lists them")
    statuses = []
    for part in chosen:
        left = end - time.monotonic()
        limit_s = min(LIMIT_S, left - SAVING_S)
        statuses.append(run_part(part, output, environment, where, limit_s=limit_s, tiny=arguments.tiny))
    print(f"{statuses.count(DONE)} of {len(statuses)} parts are done; the same command runs the others")
    if arguments.pack:
        ended = [part.name for part, status in zip(chosen, statuses, strict=True) if status == DONE]
        names = _kit_carry.pack(output, arguments.pack, ended=ended)
        print(f"{_kit_carry.RESULTS} and {len(names)} parts of at most {_kit_carry.PART_MIB} MiB in {arguments.pack}")
        if not names:
            most = f"{_kit_carry.BACK_FILES} files or {_kit_carry.BACK_MIB} MiB"
            print(f"the state is too large to come back ({most}): what is unfinished begins again on another machine")
    return int(set(statuses) != {DONE})


def run_part(part, output: pathlib.Path, environment: dict, where: dict, *, limit_s: float, tiny: bool) -> str:
    """Runs a part unless it is done or the time left is too short, writes its result, and returns its status.

    Args:
      part: a Part of `_kit_parts`.
      output: the folder of the results.
      environment: the variables of its process.
      where: what the result says of commit, device, driver and versions.
      limit_s: seconds after which it is told to end.
      tiny: whether it is the part at its tiny size, which is another one.
    """
    from jaxcnn.files import write_json

    path = output / f"{part.name}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    if before.get("tiny", tiny) != tiny:
        raise ValueError(f"{path} is of a run {'without' if tiny else 'with'} --tiny: name another --output.")
    if before.get("status") == DONE:
        print(f"{part.name}: done before", flush=True)
        return DONE
    if limit_s < LEAST_S:
        print(f"{part.name}: not begun, {max(0, limit_s):.0f} s are left", flush=True)
        return UNFINISHED
    command = [word.format(out=output) for word in part.command]
    started, begun = datetime.datetime.now(datetime.UTC), time.monotonic()
    status, said = _call(command, {**environment, **part.environment}, limit_s)
    seconds = time.monotonic() - begun
    result = {
        "part": part.name,
        "about": part.about,
        "tiny": tiny,
        "status": status,
        "command": shlex.join(command),
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "earlier seconds": before.get("seconds", 0) + before.get("earlier seconds", 0),
        **where,
        "rows": _rows(output / part.rows),
        "output": said[-TAIL:],
    }
    write_json(path, result)
    more = "" if status == DONE else f"; {said.strip().splitlines()[-1] if said.strip() else 'it said nothing'}"
    if status == UNFINISHED:
        more += "; the next call resumes it" if part.resumes else "; the next call begins it again"
    print(f"{part.name}: {status} in {seconds:.0f} s{more}", flush=True)
    return status


def _call(command, environment, limit_s):
    """(Status, what it printed) of a process that is told to end after limit_s."""
    # A session of its own: what it started ends with it.
    options = {"cwd": ROOT, "env": environment, "text": True, "errors": "replace", "start_new_session": True}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    try:
        said, _ = process.communicate(timeout=limit_s)
        return (FAILED if process.returncode else DONE), said
    except subprocess.TimeoutExpired:
        process.terminate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    try:
        said, _ = process.communicate(timeout=SAVING_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
    return UNFINISHED, said


def _rows(path):
    """What a part's file holds: JSON, or text as it is; None without one."""
    if not path.is_file():
        return None
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else text


def surroundings(environment: dict, commit: str | None) -> dict:
    """Commit, device, driver and versions, asked of a process of its own: this one takes no memory of the device."""
    code = "import json; from jaxcnn.training.rundir.environment import environment as e; print(json.dumps(e()))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"JAX does not start here: {done.stderr.strip()[-300:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    kept = {key: found[key] for key in ("python", "platform", "cpu", "versions", "devices")}
    return {"commit": commit or found["git_commit"], "driver": _driver(), **kept}


def _driver():
    """Name, driver and memory of the NVIDIA GPUs; None without one."""
    if not shutil.which("nvidia-smi"):
        return None
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True).stdout.strip() or None


def _environment(arguments):
    """The variables of every part: this checkout, and memory that JAX and PyTorch can share."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if os.environ.get("JAX_PLATFORMS") in ("cuda", "tpu"):  # the CPU's numbers are compared with
        environment["JAX_PLATFORMS"] += ",cpu"
    if arguments.data_dir:
        environment["TFDS_DATA_DIR"] = str(arguments.data_dir.resolve())
    return environment


def _parts(arguments):
    from _kit_parts import parts

    for part in parts(tiny=arguments.tiny):
        print(f"{part.name:32} {part.about}{'; resumes' if part.resumes else ''}")
    return 0


def _measure(arguments):
    from _kit_measures import measure

    from jaxcnn.process import set_up_process

    set_up_process()
    found = measure(arguments.name, arguments.output, arguments.tiny)
    text = json.dumps(found, indent=1)
    (arguments.output / f"{arguments.name}.rows.json").write_text(text + "\n")
    print(text)
    return 0


def _split(arguments):
    names = _kit_carry.split(arguments.source, arguments.folder)
    print(f"{len(names)} parts of at most {_kit_carry.PART_MIB} MiB and {_kit_carry.PARTS} in {arguments.folder}")
    return 0


def _join(arguments):
    print(_kit_carry.join(arguments.folder, arguments.target))
    return 0


def _wheels(arguments):
    size = _kit_carry.wheels(arguments.folder, ROOT / "requirements-3.12.lock")
    print(f"{size / _kit_carry.MIB:.1f} MiB of wheels; carry {arguments.folder}")
    return 0


def _parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    path = pathlib.Path

    def verb(function, name, text):
        added = verbs.add_parser(name, help=text, allow_abbrev=False)
        added.set_defaults(function=function)
        return added

    add = verb(run, "run", "run the parts that are not done")
    add.add_argument("--output", type=path, default=path("runs/accelerator"), help="the folder of the results")
    add.add_argument("--only", default="", metavar="TEXT", help="the parts with this text in their name")
    add.add_argument(
        "--minutes", type=float, default=1e6, help="begin nothing that does not fit into them; default: all"
    )
    add.add_argument("--data_dir", type=path, default=None, help="where TFDS's cifar10 lies")
    add.add_argument("--commit", default=None, help="what the results name, where there is no git")
    add.add_argument("--state", type=path, default=None, help="what --pack wrote, to go on from")
    add.add_argument("--pack", type=path, default=None, help="write the results in parts into this folder in the end")
    add.add_argument("--tiny", action="store_true", help="every part on tiny sizes: whether the kit works")
    add = verb(_parts, "parts", "list the parts")
    add.add_argument("--tiny", action="store_true")
    add = verb(_measure, "measure", "what a part runs")
    add.add_argument("name")
    add.add_argument("--output", type=path, required=True)
    add.add_argument("--tiny", action="store_true")
    add = verb(_split, "split", "cut a file or folder into parts with checksums")
    add.add_argument("source", type=path)
    add.add_argument("folder", type=path)
    add = verb(_join, "join", "put such parts together")
    add.add_argument("folder", type=path)
    add.add_argument("target", type=path)
    add = verb(_wheels, "wheels", "collect the wheels that a bare machine of Python 3.12 lacks")
    add.add_argument("folder", type=path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
