"""Where the rows of a run go beside metrics.jsonl: TensorBoard, Weights & Biases, MLflow; config.trackers names them.

Each gets the same numbers under the same names: "train/loss" at its step. None of them is read by jaxcnn.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import pathlib
import socket
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError, how_to_install, look_up
from jaxcnn.files import read_json, write_json
from jaxcnn.training.config import flatten, to_json

if TYPE_CHECKING:
    from ml_collections import ConfigDict


logger = logging.getLogger(__name__)

IDS = "trackers.json"  # of a run directory: the ids that trackers know the run by, so that a resumed run goes on there
PROJECT = "jaxcnn"  # of W&B, and the experiment of MLflow, where their own variables name no other


class TensorBoard:
    """TensorBoard events of one start of a run; those of earlier starts from `step` on are hidden.

    tensorboardX's own SummaryWriter hands them to a thread, which a full disk ends, and the run then waits for it.
    It is imported where events are written, for it imports PyTorch where that is installed, which takes a second.
    """

    FLUSH_SECONDS = 10

    def __init__(self, workdir: pathlib.Path, config: ConfigDict, *, step: int) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter

        folder, self.config = workdir / "tensorboard", config
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{step}"
        self.writer = RecordWriter(str(folder / name))
        self.flushed, self.event = time.monotonic(), Event
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=step, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, values: Any) -> None:
        from tensorboardX.summary import scalar

        for name, value in values.items():
            self._write(self.event(step=step, summary=scalar(name, value)))

    def final(self, step: int, values: Any) -> None:
        """The scalars, and the page HPARAMS with the keys of the config beside them."""
        from tensorboardX.summary import hparams

        self.write(step, values)
        keys = {key: v if isinstance(v, bool | int | float) else str(v) for key, v in flatten(self.config).items()}
        for summary in hparams(keys, values):
            self._write(self.event(summary=summary))

    def _write(self, event):
        event.wall_time = time.time()
        self.writer.write(event.SerializeToString())
        if time.monotonic() - self.flushed > self.FLUSH_SECONDS:
            self.writer.flush()
            self.flushed = time.monotonic()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.writer.close()


class WandB:
    """A run of Weights & Biases; WANDB_PROJECT, WANDB_ENTITY, WANDB_MODE=offline and its other variables hold.

    The steps are the metric "step": W&B's own counter takes no step twice, which a resumed run does.
    """

    def __init__(self, workdir: pathlib.Path, config: ConfigDict, *, step: int) -> None:
        import wandb

        known = _known_id(workdir, "wandb")
        self.run = wandb.init(
            id=known or _new_id(workdir, "wandb", uuid.uuid4().hex),
            resume="allow" if known else None,
            reinit="create_new",  # a sweep's runs follow one another, and those of a population are open together
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=os.environ.get("WANDB_NAME", workdir.name),
            dir=str(workdir),
            config=json.loads(to_json(config)),
            settings=wandb.Settings(console="off"),
        )
        self.run.define_metric("*", step_metric="step")

    def write(self, step: int, values: Any) -> None:
        self.run.log({"step": step, **values})

    final = write

    def close(self) -> None:
        self.run.finish()


class MLflow:
    """A run of MLflow at MLFLOW_TRACKING_URI, or in WORKDIR/mlruns without it; MLFLOW_EXPERIMENT_NAME holds.

    The keys of the config are its params.
    """

    MOST_PARAMS, LONGEST = 100, 6000  # in one call, and characters of a value: MLflow's limits

    def __init__(self, workdir: pathlib.Path, config: ConfigDict, *, step: int) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        self.metric, uri = Metric, os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # it is asked since MLflow prefers a data base
        self.client = MlflowClient(tracking_uri=uri or (workdir / "mlruns").resolve().as_uri())
        self.id = self._resumed(workdir)
        if self.id is None:
            self.id = self._begun(workdir)
            params = [Param(key, str(value)[: self.LONGEST]) for key, value in flatten(config).items()]
            for first in range(0, len(params), self.MOST_PARAMS):
                self.client.log_batch(self.id, params=params[first : first + self.MOST_PARAMS])

    def _resumed(self, workdir):
        """The id of the run that an earlier start made, or None where the server knows none."""
        from mlflow.exceptions import MlflowException

        if known := _known_id(workdir, "mlflow"):
            with contextlib.suppress(MlflowException):
                self.client.set_terminated(known, status="RUNNING")
                return known
        return None

    def _begun(self, workdir):
        from mlflow.exceptions import MlflowException

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        with contextlib.suppress(MlflowException):  # it is there, or another run makes it at this moment
            self.client.create_experiment(name)
        experiment = self.client.get_experiment_by_name(name).experiment_id
        return _new_id(workdir, "mlflow", self.client.create_run(experiment, run_name=workdir.name).info.run_id)

    def write(self, step: int, values: Any) -> None:
        now = round(1000 * time.time())
        self.client.log_batch(self.id, metrics=[self.metric(name, v, now, step) for name, v in values.items()])

    final = write

    def close(self) -> None:
        self.client.set_terminated(self.id)


TRACKERS = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}
LIBRARIES = {"wandb": "wandb", "mlflow": "mlflow-skinny"}  # of extras, as pip knows them
TO_FILES = {"wandb": "set WANDB_MODE=offline", "mlflow": "unset MLFLOW_TRACKING_URI"}  # how they do without a server


class _Outside:
    """A tracker over a network, perhaps: where it fails the run goes on without it, which is said once."""

    def __init__(self, name, workdir, config, *, step):
        self.name = name
        try:
            self.tracker = TRACKERS[name](workdir, config, step=step)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"config.trackers: {name} could not begin the run of {workdir}: "
                f"{' '.join(str(error).split()).rstrip('.')}. Leave it out, or let it write to files: {TO_FILES[name]}."
            ) from error

    def write(self, step, values):
        self._call("write", step, values)

    def final(self, step, values):
        self._call("final", step, values)

    def close(self):
        self._call("close")

    def _call(self, method, *arguments):
        if self.tracker is None:
            return
        try:
            getattr(self.tracker, method)(*arguments)
        except Exception as error:
            self.tracker = None
            reason = " ".join(str(error).split()) or type(error).__name__
            logger.warning("%s got no more rows of this run, which metrics.jsonl has: %s", self.name, reason)


def open_trackers(names: Sequence[str], workdir: pathlib.Path, config: ConfigDict, *, step: int) -> list[Any]:
    """The trackers of one start of a run, each with write(step, {name: value}), final(step, {name: value}) and close().

    Args:
      names: of TRACKERS.
      workdir: the run directory.
      config: the run's config.
      step: the first that they will get.
    Raises:
      InputError: one cannot begin: nobody is logged in, or its server does not answer.
    """
    opened = []
    try:
        for name in names:
            make = _Outside if name in LIBRARIES else TRACKERS[name]
            opened.append(make(*((name,) if name in LIBRARIES else ()), workdir, config, step=step))
    except BaseException:
        for tracker in opened:
            tracker.close()
        raise
    return opened


def check_trackers(names: Sequence[str]) -> None:
    """Raises InputError where config.trackers names none, or one whose library is not installed."""
    for name in names:
        try:
            look_up(name, table=TRACKERS, kind="tracker")
        except ValueError as error:
            raise InputError(f"config.trackers: {error}") from error
        if name in LIBRARIES and importlib.util.find_spec(name) is None:
            install = how_to_install(LIBRARIES[name], name)
            raise InputError(f"config.trackers: {name} is not installed: {install}")


def _known_id(workdir, name):
    """The id of the run at a tracker, or None; the file may be a stranger's."""
    path = workdir / IDS
    found = read_json(path).get(name) if path.exists() else None
    return found if isinstance(found, str) and found.isalnum() else None


def _new_id(workdir, name, value):
    path = workdir / IDS
    write_json(path, {**(read_json(path) if path.exists() else {}), name: value})
    return value
