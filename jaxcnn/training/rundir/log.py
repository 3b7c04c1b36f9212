"""Where the numbers of a run go: metrics.jsonl, TensorBoard events, and a progress bar or plain lines."""

import contextlib
import json
import math
import os
import socket
import time

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from jaxcnn.files import write_text
from jaxcnn.progress import ProgressBar
from jaxcnn.training.rundir.evaluations import read_rows


class MetricsLog:
    """metrics.jsonl and TensorBoard events of one run; a process that is not the first writes nothing.

    Args:
      workdir: the run directory.
      step: rows after this step (of a run that was killed past its last checkpoint) are dropped.
      active: False in all processes but one.
    """

    def __init__(self, workdir, *, step, active=True):
        self.path, self.active = workdir / "metrics.jsonl", active
        if not active:
            return
        rows = [row for row in read_metrics(workdir) if row.get("step", 0) <= step]
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in rows))
        self.file = self.path.open("a", buffering=1, encoding="utf-8")
        self.board = _Board(workdir / "tensorboard", step=step + 1)

    def write(self, row):
        """Adds a row; a number that is not finite is written as null beside its name in "not_finite"."""
        if not self.active:
            return
        bad = [k for k, v in row.items() if isinstance(v, float) and not math.isfinite(v)]
        clean = {k: (None if k in bad else v) for k, v in row.items()}
        self.file.write(json.dumps(clean | ({"not_finite": bad} if bad else {})) + "\n")
        if "split" in row:
            for name, value in clean.items():
                if isinstance(value, float) and name != "epoch":
                    self.board.scalar(f"{row['split']}/{name}", value, step=row["step"])

    def close(self):
        """Flushes both files."""
        if self.active:
            with contextlib.suppress(OSError):  # the disk is full: `write` has said so
                self.file.close()
            self.board.close()


class _Board:
    """TensorBoard events of one start of a run; those of earlier starts from `step` on are hidden.

    tensorboardX's own SummaryWriter hands them to a thread, which a full disk ends, and the run then waits for it.
    """

    FLUSH_SECONDS = 10

    def __init__(self, folder, *, step):
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{step}"
        self.writer = RecordWriter(str(folder / name))
        self.flushed = time.monotonic()
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=step, session_log=SessionLog(status=SessionLog.START)))

    def scalar(self, name, value, *, step):
        self._write(Event(step=step, summary=scalar(name, value)))

    def _write(self, event):
        event.wall_time = time.time()
        self.writer.write(event.SerializeToString())
        if time.monotonic() - self.flushed > self.FLUSH_SECONDS:
            self.writer.flush()
            self.flushed = time.monotonic()

    def close(self):
        with contextlib.suppress(OSError):
            self.writer.close()


def read_metrics(workdir):
    """The rows of a run's metrics.jsonl, [] where there is none; a half-written last line is left out."""
    return read_rows(workdir / "metrics.jsonl")


class Progress(ProgressBar):
    """The progress bar of a run; its total and start are steps.

    Args:
      total, start, title, quiet: as in ProgressBar.
      measures: names of numbers of a log row that are shown, the first beside the bar too; rows may lack some.
    """

    def __init__(self, total, *, start, title, quiet, measures):
        super().__init__(total, start=start, title=title, quiet=quiet)
        self.measures = tuple(dict.fromkeys(measures))

    def update(self, step, row):
        """After a log row of the train split."""
        rate = row.get("images_per_second")
        rate = f"{rate:,.0f} images/s" if rate else ""
        shown = [f"{name} {row[name]:.4f}" for name in self.measures if row.get(name) is not None]
        line = "  ".join((f"step {step}/{self.total}", f"epoch {row['epoch']:.2f}", *shown, rate))
        self.show(step, beside_bar="  ".join((*shown[:1], rate)), line=line)
