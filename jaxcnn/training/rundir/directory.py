"""The run directory: what lies in it, and whether a run may start or resume there."""

import contextlib
import datetime
import errno
import functools
import importlib.metadata
import json
import logging
import operator
import os
import pathlib
import platform
import shlex
import shutil
import sys

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from jaxcnn import trust
from jaxcnn.data import LABEL, located, path_of
from jaxcnn.errors import InputError, disk_is_full
from jaxcnn.files import local_path, read_json, replaced, write_json, write_text
from jaxcnn.names import shown
from jaxcnn.tasks import CLASSIFICATION, Measure
from jaxcnn.training.config import differences, from_json, to_json
from jaxcnn.training.rundir.checkpoint import Checkpoints, Damaged
from jaxcnn.training.rundir.code import about_code, commit_of
from jaxcnn.training.rundir.data_changes import data_changes

logger = logging.getLogger(__name__)

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "tensorflow-datasets",
    "ml-collections",
    "grain",
    "numpy",
)
STATISTICS = "preprocessing.safetensors"
DATA = "data.json"
CONVERTED = "preprocessing.json"  # lies beside weights that come from elsewhere


def open_run(workdir, config, about=None, *, extend=False):
    """Makes or reopens a run directory for a resolved config.

    Args:
      about: what `about_data` says of the data, None where nothing is trained.
      extend: config.duration may be another; config.json is given the new one.
    Returns:
      [(where the data lay, where they lie)] of the folders that were moved since the last start.
    Raises:
      InputError: the directory holds a run of another config (shows the differences) or of data that have changed
        (says how), or cannot be written.
    """
    if shown(path := os.path.abspath(workdir)) != path:
        raise InputError(
            f"the run directory {path} has a name that is not UTF-8, which checkpoints need: give another."
        )
    path, moved = workdir / "config.json", []
    if there := _config_there(workdir):
        changed = differences(there, config)
        changed = [row for row in changed if not (extend and row[0] == "duration")]
        for row in [row for row in changed if about and _is_folder(*row)]:
            changed.remove(row)  # the same files may lie elsewhere now; whether they are the same comes next
            moved += [row[1:]] if located(row[1]) != row[2] else []
        if changed:
            longer = (
                " A longer duration, and nothing else: --extend." if "duration" in {key for key, *_ in changed} else ""
            )
            rows = "; ".join(f"{key}: {old!r} there, {new!r} here" for key, old, new in changed)
            raise InputError(
                f"{workdir} holds a run of another config. {rows}. Give another --workdir, or the config "
                f"that it was started with, to resume it.{longer}"
            )
    begun = read_about(workdir) if about and (workdir / DATA).exists() else None
    if begun and (changes := data_changes(begun, about)):
        what = f"{config.data.name} has changed since the run in {workdir} began"
        if moved:
            there, here = (" and ".join(paths) for paths in zip(*moved, strict=True))
            what = f"{here} holds other data than {there}, on which the run in {workdir} began"
        raise InputError(
            f"{what}: {'; '.join(changes)}. The labels, the order and the held-out images would be "
            "others. Restore the data, or give another --workdir."
        )
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if jax.process_index() == 0:
            write_text(path, to_json(config))
    except OSError as error:
        raise InputError(
            f"the run directory {workdir} cannot be written: {error.strerror}. Give another --workdir."
        ) from error
    return moved


def _is_folder(key, *names):
    if key not in ("data.name", "data.add") or None in map(path_of, names):
        return False
    return len({name.partition(":")[0] for name in names}) == 1


def _config_there(workdir):
    """The config of the run of a directory, from its latest checkpoint where config.json is gone; None of a new run."""
    if (workdir / "config.json").exists():
        return read_config(workdir)
    if (workdir / "checkpoints").is_dir():
        checkpoints = Checkpoints(workdir / "checkpoints", read_only=True)
        for step in reversed(checkpoints.steps()):
            with contextlib.suppress(Damaged):
                return from_json(json.dumps(checkpoints.memory(step)["config"]))
    return None


def check_space(workdir, needed):
    """Raises InputError where the disk lacks the space that the checkpoints of this run will take."""
    free = shutil.disk_usage(workdir).free
    if free < needed:
        raise InputError(
            f"{workdir} has {free / 2**20:.0f} MiB free; the checkpoints of this run take "
            f"{needed / 2**20:.0f} MiB. Free some space, give another --workdir or lower config.checkpoint.keep."
        )


@contextlib.contextmanager
def full_disk_named(folder):
    """Raises InputError instead of an error that says that the disk is full."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, InputError) or not disk_is_full(error):
            raise
        raise InputError(
            f"the disk of {folder} is full. Checkpoints that were complete are kept: free some space, and the same "
            "command resumes."
        ) from error


def read_config(workdir):
    """The resolved config of an existing run.

    Raises:
      InputError: the directory is not a run's.
    """
    path = local_path(workdir) / "config.json"
    if not path.is_file():
        raise InputError(f"{workdir} is not a run directory: it has no config.json.")
    text = json.dumps(read_json(path))
    with damage_named(path, "Where checkpoints are there, remove it: train with the config of the run restores it."):
        try:
            return trust.named_by(from_json(text), path)
        except InputError as error:  # which begins with "config.json"
            raise InputError(f"{path.parent}/{error}") from error


def write_environment(workdir, config, *, step, **more):
    """Adds this start of the run to environment.json: commit, versions, devices, seed, command; the latest is last.

    Args:
      workdir: the run directory.
      config: its config.
      step: where it starts.
      more: what else to say of this start, as JSON.
    """
    if jax.process_index():
        return
    path = workdir / "environment.json"
    try:
        starts = _starts(workdir)
    except InputError as error:  # nothing is computed from it
        aside = path.with_name("environment.json.damaged")
        path.replace(aside)
        logger.warning("%s It was set aside as %s; the starts before this one are not known.", error, aside.name)
        starts = []
    starts.append(
        {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "from_step": step,
            **environment(),
            "seed": config.seed,
            "deterministic": config.deterministic or jax.default_backend() == "cpu",
            **about_code(config),
            **more,
        }
    )
    write_json(path, {"starts": starts})


def last_start(workdir):
    """The `environment` of the last start of a run; None of a run that never started."""
    return next(reversed(_starts(local_path(workdir))), None)


def _starts(workdir):
    """The starts that environment.json holds; InputError where it is damaged."""
    path = workdir / "environment.json"
    if not path.exists():
        return []
    starts = read_json(path).get("starts")
    if not (isinstance(starts, list) and all(isinstance(start, dict) for start in starts)):
        raise InputError(f"{path} is damaged: it holds no list of starts.")
    return starts


def environment():
    """Where this process runs: command, git commit, versions, devices, processes."""
    return {
        "command": shlex.join(sys.argv),
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": f"{os.cpu_count()} x {_cpu_model()}",
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "devices": [f"{d.platform}:{d.device_kind}" for d in jax.devices()],
        "processes": jax.process_count(),
    }


def _cpu_model():
    """The processor's name; platform.processor() is empty on most Linux systems."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def git_commit():
    """The commit of the checkout that jaxcnn runs from, "+" behind it where files differ; None outside one.

    A package that is installed somewhere inside another repository does not take that one's commit for its own.
    """
    return commit_of(pathlib.Path(__file__).parents[3], "-uno", toplevel=True)


def write_data(workdir, about):
    """Keeps the record of `about_data`: the network can be used without its data, and resumes on no other data."""
    if jax.process_index() == 0:
        write_json(workdir / DATA, about)


def read_data(workdir):
    """(classes, shape) of a run; InputError where it has not begun."""
    found = read_about(workdir)
    return tuple(found["classes"]), tuple(found["shape"])


def read_fields(workdir):
    """{name: (shape, dtype)} of what an example of a run holds beside its image."""
    path = local_path(workdir) / DATA
    with damage_named(path, "Restore it, or remove it: train with the config of the run writes it from the data."):
        fields = read_about(workdir).get("fields")
        if fields is None:
            return LABEL
        return {name: (tuple(map(int, shape)), np.dtype(dtype)) for name, (shape, dtype) in fields.items()}


def read_about(workdir):
    """The record of a run's data that `write_data` kept; InputError where the run has not begun."""
    path = local_path(workdir) / DATA
    if not path.exists():
        raise InputError(f"the run in {workdir} has not begun to train: it has no {DATA}.")
    about = read_json(path)
    with damage_named(path, "Restore it, or remove it: train with the config of the run writes it from the data."):
        if not all(isinstance(name, str) for name in about["classes"]) or len(about["shape"]) != 3:
            raise ValueError("its classes are no names, or its shape is not that of an image")
        tuple(map(operator.index, about["shape"]))
    return about


def about_task(name, kind):
    """The keys of data.json that say by which measures a run is compared: no reader of it imports the task's code.

    Args:
      name: config.task.name.
      kind: its Kind.
    Returns:
      {"task": name, "measures": {name: [unit, higher_is_better, log, label]}, "selects": [names]}; {} of
      classification, which a run without these keys learns.
    """
    if name == "classification" and kind.measures == CLASSIFICATION.measures:
        return {}
    measures = {measure: list(about) for measure, about in kind.measures.items()}
    return {"task": name, "measures": measures, "selects": list(kind.selects)}


def measures_there(workdir):
    """(name of its task, {name: Measure}, names of those that choose the best checkpoint) of a run, by data.json."""
    path = local_path(workdir) / DATA
    about = read_about(workdir) if path.exists() else {}
    if "task" not in about:
        return "classification", CLASSIFICATION.measures, CLASSIFICATION.selects
    with damage_named(path, "Restore it, or remove it: train with the config of the run writes it from the data."):
        measures = {str(name): _measure(*row) for name, row in about["measures"].items()}
        selects = tuple(about["selects"])
        if unknown := [name for name in selects if name not in measures]:
            raise ValueError(f"{unknown[0]!r} selects, but is not among its measures")
        return str(about["task"]), measures, selects


def _measure(unit, higher_is_better, log, label):
    return Measure(str(unit), bool(higher_is_better), bool(log), str(label))


@contextlib.contextmanager
def damage_named(path, remedy):
    """Raises InputError for what is wrong with the content of a file: a key that is not there, a value of another type.

    Args:
      path: the file, for the error.
      remedy: a sentence with what to do.
    """
    try:
        yield
    except InputError:
        raise
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error).removesuffix(".")
        raise InputError(f"{path} is damaged: {reason}. {remedy}") from error


def write_statistics(workdir, mean, std):
    """Keeps what the images are normalised by, for every later use of the network."""
    if jax.process_index() == 0:
        with replaced(workdir / STATISTICS) as path:
            safetensors.save_file({"mean": np.asarray(mean, np.float32), "std": np.asarray(std, np.float32)}, path)


def read_statistics(workdir):
    """(mean, std) that the run's images are normalised by, or None before its first start computed them."""
    path = local_path(workdir) / STATISTICS
    if not path.exists():
        return None
    with damage_named(path, "Remove it: train with the config of the run computes it again from the data."):
        try:
            tensors = safetensors.load_file(path)
        except (OSError, SafetensorError) as error:
            raise ValueError(error) from error
        if not all(np.isfinite(tensors[name]).all() for name in ("mean", "std")):
            raise ValueError("it holds numbers that are not finite")
        return tensors["mean"], tensors["std"]


def statistics_there(workdir):
    """`read_statistics` of a run that has begun; InputError where it has none."""
    found = read_statistics(workdir)
    if found is None:
        raise InputError(
            f"the run in {workdir} has no {STATISTICS}, by which images are normalised: train with the config of the "
            "run computes it again from the data."
        )
    return found


def append_evaluation(workdir, evaluation):
    """Logs an evaluation of the run in evaluations.jsonl."""
    if jax.process_index() == 0:
        row = {"time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), **evaluation}
        path = local_path(workdir) / "evaluations.jsonl"
        if path.is_symlink():  # of a stranger's run it may lead to any file of ours, and class names are text of theirs
            raise OSError(errno.ELOOP, "it is a link; a file of its own takes evaluations", str(path))
        torn = path.exists() and path.read_bytes()[-1:] != b"\n"  # a process was killed while it wrote
        with path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(row) + "\n")


def log_evaluation(workdir, evaluation):
    """`append_evaluation` where the directory can be written; else says so, and the evaluation is not lost for it."""
    try:
        append_evaluation(workdir, evaluation)
    except OSError as error:
        path = local_path(workdir) / "evaluations.jsonl"
        logger.warning("not logged: %s cannot be written: %s", path, error.strerror)


def read_evaluations(workdir):
    """The logged evaluations of a run, oldest first.

    Excluding those of `evaluate_protocols`, which use other crops, those of other data than the run's, and those of
    generated images.
    """
    path = local_path(workdir) / "evaluations.jsonl"
    return [row for row in read_rows(path) if not {"protocols", "data", "samples"} & set(row)]


def read_rows(path):
    """The JSON objects of a file with one a line, [] where there is none.

    A half-written last line is left out, and damaged ones before it, whose number is said.
    """
    rows, bad = [], 0
    try:
        text = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    lines = text.splitlines()
    whole = len(lines) if text.endswith(b"\n") else len(lines) - 1
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            bad += number <= whole
    if bad:
        _say_left_out(path, bad)
    return rows


@functools.cache  # once, however often the file is read
def _say_left_out(path, count):
    logger.warning("%s: %d damaged line%s left out", path, count, " is" if count == 1 else "s are")
