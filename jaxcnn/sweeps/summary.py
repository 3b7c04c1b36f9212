"""The summary of a study as Markdown, to be kept beside its table: answers, numbers, and what they were computed on."""

import collections
import pathlib
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from jaxcnn.files import write_text
from jaxcnn.quantity import amount, extent, heading

ANYTIME = (
    "Seeds were added until the claims were decided or the budget ended: verdicts, p and intervals are those that hold "
    "whenever one stops."
)


def summary(
    starts: Iterable[Mapping[str, Any]], found: Mapping[str, Any], left: Mapping[str, str], *, title: str
) -> str:
    """The text of summary.md.

    Args:
      starts: of its runs, what `environment` said at the last start of each.
      found: what `findings` returns.
      left: {run id: state of those without a result}.
      title: the study's question.
    Returns:
      Markdown: a sentence for each claim, n, mean, standard deviation and interval of each cell, and of the runs
      commands, commits, devices and versions, with how many have them.
    """
    parts = [f"# {title}", _claims(found), "" if found["fixed"] else ANYTIME, "![means of the cells](figure.png)"]
    main = next(iter(found["metrics"]), "")
    parts += [_cells(found["cells"], name, metric, name == main) for name, metric in found["metrics"].items()]
    if left:
        parts.append("Without a result:\n\n" + "\n".join(f"- {run}: {state}" for run, state in left.items()))
    return "\n\n".join(filter(None, [*parts, _origin(starts)])) + "\n"


def add_analysis(workdir: pathlib.Path, lines: Iterable[str]) -> None:
    """Adds to summary.md what the study's own file says of its runs, a line each."""
    path = workdir / "summary.md"
    write_text(
        path, path.read_text(encoding="utf-8") + "\nBeyond the cells:\n\n" + "".join(f"- {line}\n" for line in lines)
    )


def _claims(found):
    return "\n".join(
        f"- {claim['text']} **{claim['verdict'].capitalize()}**{_reason(claim)}." for claim in found["claims"]
    )


def _reason(claim):
    return _literal(claim["sentence"].removeprefix(claim["verdict"]))


def _literal(text):
    """Text that Markdown shows as it is, in a table too."""
    return re.sub(r"[\\|*`\[]|<(?=[a-zA-Z/!?])", r"\\\g<0>", text.replace("\n", " "))


def _cells(cells, name, metric, main):
    """The table of one metric; a paper's figure stands beside the main one."""
    head = f"| {heading(metric)} | n | mean | std | 95 % interval | paper |\n|---|---|---|---|---|---|"
    lines = []
    for cell in cells:
        numbers = cell["metrics"][name]
        paper = _literal(f"{cell['paper'][0]} ({cell['paper'][1]})") if cell["paper"] and main else ""
        spread = amount(numbers["mean"], metric), amount(numbers["std"], metric), extent(numbers["interval"], metric)
        lines.append(f"| {_literal(cell['cell'])} | {numbers['n']} | {' | '.join(spread)} | {paper} |")
    return "\n".join([head, *lines])


def _origin(starts):
    """Where the runs were trained, each fact with how many runs have it."""
    facts = {name: collections.Counter() for name in ("command", "commit", "device", "versions", "day")}
    for start in starts:
        facts["command"][f"`{command_of(start['command'])}`"] += 1
        facts["commit"][str(start["git_commit"])[:9]] += 1
        facts["device"][f"{', '.join(start['devices'])} ({start['cpu']})"] += 1
        facts["versions"][
            f"Python {start['python']}, " + ", ".join(" ".join(v) for v in start["versions"].items())
        ] += 1
        facts["day"][start["time"][:10]] += 1
    lines = [f"- {name}: {text} ({n} runs)" for name, counts in facts.items() for text, n in counts.items()]
    return "\n".join(lines)


def command_of(text: str) -> str:
    """The command of the sweep or the script that a run belongs to: that of the run without `--run` and its place."""
    try:
        words = shlex.split(text)
    except ValueError:  # commands were not always quoted
        words = text.split()
    if "--run" in words:
        place = words.index("--run")
        words = words[:place] + words[place + 2 :]
    program, *arguments = (
        "experiments/" + word.rpartition("experiments/")[2] if "experiments/" in word else word for word in words
    )
    path = pathlib.PurePath(program)
    package = path.name == "jaxcnn" or path.parent.name == "jaxcnn"  # the installed command, or jaxcnn/__main__.py
    return f"python {'-m jaxcnn' if package else shlex.quote(program)} {shlex.join(arguments)}"
