"""The rows of a benchmark as text, and as a file with what they were measured on."""

import importlib.metadata
import importlib.util
import json

from jaxcnn.errors import InputError
from jaxcnn.training.rundir import environment

RATIOS = ("ours/torch", "loop/torch", "plain/torch", "ours/plain")


def line(row):
    """One row of `benchmark_operators` in one line: milliseconds, then ratios with their quartiles."""
    ratios = []
    for key in RATIOS:
        if row[key] is not None:
            middle, (low, high) = row[key]
            ratios.append(f"{key} {middle:.2f} ({low:.2f}-{high:.2f})")
    return f"{row['network']:13} {row['case']:62} {row['pass']:8} {1e3 * row['ours']:9.3f} ms  {'  '.join(ratios)}"


def write(path, rows):
    """Writes rows as JSON, with the command, commit, versions and devices.

    Raises:
      InputError: the file cannot be written.
    """
    record = environment()
    if importlib.util.find_spec("torch"):
        record["versions"]["torch"] = importlib.metadata.version("torch")
    try:
        with open(path, "w") as file:
            json.dump({**record, "rows": rows}, file, indent=1)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
