"""The rows of a benchmark as text, and as a file with what they were measured on."""

import contextlib
import importlib.metadata

from jaxcnn.benchmark.operators import RATIOS
from jaxcnn.files import write_json
from jaxcnn.training.rundir.environment import environment

# What the rows depend on beside the versions that every run records.
BESIDE = ("torch", "tensorflow", "tensorflow-cpu", "pillow", "simplejpeg", "opencv-python-headless")


def line(row):
    """One row of `benchmark_operators` in one line: milliseconds, then ratios with their quartiles."""
    ratios = []
    for key in RATIOS:
        if row[key] is not None:
            middle, (low, high) = row[key]
            ratios.append(f"{key} {middle:.2f} ({low:.2f}-{high:.2f})")
    return f"{row['network']:13} {row['case']:62} {row['pass']:8} {1e3 * row['ours']:9.3f} ms  {'  '.join(ratios)}"


def totals_line(totals):
    """The result of `summarize` in one line."""
    means = ", ".join(f"{key} {totals[key]:.2f}" for key in RATIOS if totals[key])
    return f"geometric means over {totals['n']} rows: {means}"


def step_line(row):
    """One row of `benchmark_steps` in one line."""
    images = f"{row['batch']} x {'x'.join(map(str, row['input']))}"
    times = (
        f"compile {row['compile']:6.1f} s  step {1e3 * row['step']:8.1f} ms  in lax.scan {1e3 * row['loop']:8.1f} ms"
    )
    return (
        f"{row['network']:14} {images:16} {times}  {row['images_s']:7.1f} images/s  {row['temporary'] / 2**20:7.0f} MiB"
    )


def augment_line(row):
    """One row of `benchmark_augment` in one line."""
    middle, (low, high) = row["of a step"]
    share = f"{100 * middle:6.2f} % ({100 * low:.2f}-{100 * high:.2f}) of a resnet20 step"
    return f"{row['name']:26} {1e3 * row['seconds']:9.3f} ms  {share}"


def input_line(row):
    """One row of `benchmark_input` in one line: images/s with their quartiles, then the ratio to the best other."""
    rates = [f"{name} {rate:8,.0f} ({low:,.0f}-{high:,.0f})" for name, (rate, (low, high)) in row["images_s"].items()]
    end = ""
    if row["best"]:
        middle, (low, high) = row["ours/best"]
        end = f"  ours/{row['best']} {middle:.2f} ({low:.2f}-{high:.2f})"
    return f"{row['name']:36} images/s: {'  '.join(rates)}{end}"


def needed_line(needed, found):
    """The result of `workers_needed` in one line."""
    workers, one = found
    return f"{needed:,} images/s take {workers} workers, at {one:,.0f} images/s each"


def population_line(row):
    """One row of `benchmark_population` in one line; x is the time a member over that of the step alone."""
    middle, (low, high) = row["ratio"]
    return (
        f"{row['network']:14} batch {row['batch']:4}  {row['members']:3} members  compile {row['compile']:6.1f} s  "
        f"step {1e3 * row['step']:8.1f} ms, a member {1e3 * row['step'] / row['members']:7.2f} ms = {middle:.2f} "
        f"({low:.2f}-{high:.2f}) x alone  {row['images_s']:8.1f} images/s"
    )


def write(path, rows):
    """Writes rows as JSON, with the command, commit, versions and devices.

    Raises:
      InputError: the file cannot be written.
    """
    record = environment()
    for name in BESIDE:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            record["versions"][name] = importlib.metadata.version(name)
    write_json(path, {**record, "rows": rows})
