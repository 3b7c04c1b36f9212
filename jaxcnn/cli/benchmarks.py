"""The verb benchmark."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from jaxcnn.cli.terminal import check_writable, refuse
from jaxcnn.errors import InputError

KINDS = ("operators", "steps", "input", "augment", "population", "start", "growth")


def add(verb: Callable) -> None:
    """Adds these verbs; verb(function, name, help) gives the parser of one."""
    add = verb(_benchmark, "benchmark", "time operators, training steps or the input beside other libraries")
    add.add_argument("kind", choices=KINDS, help="what to time")
    add.add_argument("--only", default="", metavar="TEXT", help="the rows with this text: a network, operator or shape")
    add.add_argument("--data", default="", metavar="folder:PATH", help="input: the photographs, in class folders")
    add.add_argument(
        "--needed", type=int, default=0, metavar="IMAGES/S", help="input: how many workers this rate takes"
    )
    add.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32", help="steps: what the layers compute in"
    )
    add.add_argument("--rounds", type=int, default=None, help="measurements of each; default: 7, of start 3")
    add.add_argument("--output", default=None, metavar="FILE.json", help="write rows, versions and devices there too")
    add.add_argument("--json", action="store_true", help="print what --output writes in place of lines")


def _benchmark(arguments):
    """Times work side by side, every contender in turn in every round.

    operators: each operator on shapes of real networks: ours, ours inside lax.scan (per iteration), XLA's plain
    lowering, and the better of PyTorch's two layouts where PyTorch is installed. A ratio is the median over the rounds,
    its quartiles in brackets; above 1 is slower.

    steps: whole training steps: time to compile, time of a step called and inside lax.scan, images/s, memory, share of
    the speed of one large matrix product; and the ratio to PyTorch's fastest (contiguous, channels_last, on an
    accelerator also compiled), where PyTorch is installed.

    input: images/s of each stage from file to device, and of the loader with 0, 1 and 2 workers beside PyTorch's
    DataLoader and tf.data, where they are installed; a ratio above 1 is faster.

    augment: each augmentation of a batch, and its share of a training step of resnet20; and what random crops and flips
    add to that step when they are compiled into it.

    population: training steps of many runs in one program, over the time of the step alone.

    start: seconds from a command to its first step, by stage, with an empty compilation cache and with a full one.

    growth: time, memory and compilation of a step against steps, images, members, devices, classes and image size, with
    the exponent of each.
    """
    if arguments.rounds is not None and arguments.rounds < 1:
        raise InputError(f"--rounds is {arguments.rounds}; it is at least 1")
    if arguments.precision != "float32" and arguments.kind != "steps":
        raise InputError(f"--precision is for steps; {arguments.kind} are timed in float32")
    if arguments.kind != "input":
        refuse(arguments, ("data", "needed"), f"for input, not for {arguments.kind}")
    if arguments.output:
        check_writable(arguments.output)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch wants a part of the accelerator's memory
    from jaxcnn.benchmark import report

    function, line, options = _kind(arguments)
    rounds = arguments.rounds or (3 if arguments.kind == "start" else 7)
    show = (lambda row: None) if arguments.json else lambda row: print(line(row), flush=True)
    rows = function(only=arguments.only, rounds=rounds, report=show, **options)
    if not rows:
        raise InputError(f"no row has '{arguments.only}' in it; without --only all are shown")
    if arguments.json:
        print(json.dumps(report.record(rows), indent=1))
    else:
        _print_totals(arguments, rows)
    if arguments.output:
        report.write(arguments.output, rows)


def _kind(arguments):
    """(The function of a kind, that of its lines, the options that it alone takes)."""
    from jaxcnn.benchmark import augment, growth, operators, population, report, start, steps
    from jaxcnn.benchmark import input as pipeline

    return {
        "operators": (operators.benchmark_operators, report.line, {}),
        "steps": (steps.benchmark_steps, report.step_line, {"precision": arguments.precision}),
        "input": (pipeline.benchmark_input, report.input_line, {"folder": arguments.data}),
        "augment": (augment.benchmark_augment, report.augment_line, {}),
        "population": (population.benchmark_population, report.population_line, {}),
        "start": (start.benchmark_start, report.start_line, {}),
        "growth": (growth.benchmark_growth, report.growth_lines, {}),
    }[arguments.kind]


def _print_totals(arguments, rows):
    from jaxcnn.benchmark import input as pipeline
    from jaxcnn.benchmark import operators, report, steps

    if arguments.kind == "operators":
        print(report.totals_line(operators.summarize(rows)))
    if arguments.kind == "steps" and (totals := steps.summarize(rows))["n"]:
        print(report.steps_totals_line(totals))
    if arguments.kind == "input" and arguments.needed and (found := pipeline.workers_needed(rows, arguments.needed)):
        print(report.needed_line(arguments.needed, found))
