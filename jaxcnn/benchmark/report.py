"""The rows of a benchmark as text, and as a file with what they were measured on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Sequence
from typing import Any

from jaxcnn.benchmark import steps
from jaxcnn.benchmark.operators import RATIOS
from jaxcnn.files import write_json
from jaxcnn.training.rundir.environment import environment

# What the rows depend on beside the versions that every run records.
BESIDE = ("torch", "tensorflow", "tensorflow-cpu", "pillow", "simplejpeg", "opencv-python-headless")


def line(row: dict[str, Any]) -> str:
    """One row of `benchmark_operators` in one line: milliseconds, then ratios with their quartiles."""
    ratios = [_ratio_text(row, key) for key in RATIOS if row[key] is not None]
    return f"{row['network']:13} {row['case']:62} {row['pass']:8} {1e3 * row['ours']:9.3f} ms  {'  '.join(ratios)}"


def totals_line(totals: dict[str, Any]) -> str:
    """The result of `summarize` in one line."""
    means = ", ".join(f"{key} {totals[key]:.2f}" for key in RATIOS if totals[key])
    return f"geometric means over {totals['n']} rows: {means}"


def step_line(row: dict[str, Any]) -> str:
    """One row of `benchmark_steps` in one line; the ratios are those to PyTorch's best contender, named last."""
    images = f"{row['batch']} x {'x'.join(map(str, row['input']))}"
    times = (
        f"compile {row['compile']:6.1f} s  step {1e3 * row['step']:8.1f} ms  in lax.scan {1e3 * row['loop']:8.1f} ms"
    )
    end = f"{100 * row['peak']:5.1f} % of peak"
    if row["best"]:
        end += f"  {_ratio_text(row, 'ours/torch')}  {_ratio_text(row, 'loop/torch')}  ({row['best']})"
    return (
        f"{row['network']:14} {images:16} {times}  {row['images_s']:7.1f} images/s  {row['temporary'] / 2**20:7.0f} MiB"
        f"  {end}"
    )


def steps_totals_line(totals: dict[str, Any]) -> str:
    """The result of `steps.summarize` in one line."""
    means = ", ".join(f"{key} {totals[key]:.2f}" for key in steps.RATIOS)
    return f"geometric means over {totals['n']} networks: {means}"


def _ratio_text(row, key):
    middle, (low, high) = row[key]
    return f"{key} {middle:.2f} ({low:.2f}-{high:.2f})"


def augment_line(row: dict[str, Any]) -> str:
    """One row of `benchmark_augment` in one line."""
    middle, (low, high) = row["of a step"]
    share = f"{100 * middle:6.2f} % ({100 * low:.2f}-{100 * high:.2f}) of a resnet20 step"
    return f"{row['name']:26} {1e3 * row['seconds']:9.3f} ms  {share}"


def input_line(row: dict[str, Any]) -> str:
    """One row of `benchmark_input` in one line: images/s with their quartiles, then the ratio to the best other."""
    rates = [f"{name} {rate:8,.0f} ({low:,.0f}-{high:,.0f})" for name, (rate, (low, high)) in row["images_s"].items()]
    end = ""
    if row["best"]:
        middle, (low, high) = row["ours/best"]
        end = f"  ours/{row['best']} {middle:.2f} ({low:.2f}-{high:.2f})"
    return f"{row['name']:36} images/s: {'  '.join(rates)}{end}"


def needed_line(needed: int, found: tuple[int, float]) -> str:
    """The result of `workers_needed` in one line."""
    workers, one = found
    return f"{needed:,} images/s take {workers} workers, at {one:,.0f} images/s each"


def population_line(row: dict[str, Any]) -> str:
    """One row of `benchmark_population` in one line; x is the time a member over that of the step alone."""
    middle, (low, high) = row["ratio"]
    return (
        f"{row['network']:14} batch {row['batch']:4}  {row['members']:3} members  compile {row['compile']:6.1f} s  "
        f"step {1e3 * row['step']:8.1f} ms, a member {1e3 * row['step'] / row['members']:7.2f} ms = {middle:.2f} "
        f"({low:.2f}-{high:.2f}) x alone  {row['images_s']:8.1f} images/s"
    )


def start_line(row: dict[str, Any]) -> str:
    """One row of `benchmark_start` in one line: seconds in all with their quartiles, then by stage."""
    middle, (low, high) = row["total"]
    stages = "  ".join(f"{stage} {seconds:.2f}" for stage, seconds in row["stages"].items())
    return f"{row['network']:14} {row['start']:6} start {middle:6.2f} s ({low:.2f}-{high:.2f}): {stages}"


def growth_lines(row: dict[str, Any]) -> str:
    """One row of `benchmark_growth`: a line for each size, then the exponents with their standard errors."""
    lines = [
        f"{row['subject']:10} {point['size']:6}  {1e3 * point['seconds']:9.2f} ms  {point['bytes'] / 2**20:8.1f} MiB  "
        f"compile {point['compile']:6.2f} s"
        for point in row["points"]
    ]
    fits = [f"{key} {fit[0]:.2f} ± {fit[1]:.2f}" for key, fit in row["exponents"].items() if fit]
    return "\n".join([*lines, f"{row['subject']:10} exponents: {', '.join(fits) or 'of at least 3 sizes alone'}"])


def record(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows with the command, commit, versions and devices that they were measured with, as JSON values."""
    found = environment()
    for name in BESIDE:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found["versions"][name] = importlib.metadata.version(name)
    return {**found, "rows": rows}


def write(path: str | os.PathLike[str], rows: Sequence[dict[str, Any]]) -> None:
    """Writes the `record` of rows as JSON.

    Raises:
      InputError: the file cannot be written.
    """
    write_json(path, record(rows))
