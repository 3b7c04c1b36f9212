"""Where the time of a program goes: the operations of a jax.profiler trace that take longest."""

import collections
import pathlib
import tempfile
from collections.abc import Callable

import jax

CALLS = 3


def largest_operations(call: Callable[[], None], *, count: int = 10, calls: int = CALLS) -> list[dict]:
    """Traces a function and sums the time of the operations that the device ran, by name.

    On an accelerator an operation is a kernel, of all streams; on a CPU a thunk of XLA, of all threads.

    Args:
      call: runs the program and returns when it is done; it is warm.
      count: how many operations, the longest first.
      calls: how often it is run.
    Returns:
      list of dicts: name, seconds (of one call), share (of the time of all operations), times (of one call).
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(calls):
                call()
        (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
        seconds, times = _summed(jax.profiler.ProfileData.from_file(str(path)))
    total = sum(seconds.values())
    return [
        {"name": name, "seconds": spent / calls, "share": spent / total, "times": times[name] / calls}
        for name, spent in seconds.most_common(count)
    ]


def operations_table(rows: list[dict]) -> str:
    """The rows of `largest_operations` as Markdown."""
    lines = ["| operation | ms a call | share | times a call |", "|---|---|---|---|"]
    for row in rows:
        share = f"{100 * row['share']:.1f} %"
        lines.append(f"| {row['name']} | {1e3 * row['seconds']:.3f} | {share} | {row['times']:g} |")
    return "\n".join(lines)


def _summed(data):
    """(Seconds, numbers of times) by the name of an operation, of the device's lines of a trace."""
    seconds, times = collections.Counter(), collections.Counter()
    for event in _events(data):
        seconds[event.name] += event.duration_ns / 1e9
        times[event.name] += 1
    return seconds, times


def _events(data):
    """Of an accelerator the operations, or where a trace has none the kernels of its streams; else those of the CPU."""
    lines = [line for plane in data.planes if plane.name.startswith("/device:") for line in plane.lines]
    for start in ("XLA Ops", "Stream"):
        if found := [line for line in lines if line.name.startswith(start)]:
            return [event for line in found for event in line.events]
    lines = [line for plane in data.planes if plane.name == "/host:CPU" for line in plane.lines]
    return [event for line in lines for event in line.events if any(name == "hlo_op" for name, _ in event.stats)]
