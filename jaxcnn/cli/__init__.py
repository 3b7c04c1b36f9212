"""The command line: `python -m jaxcnn VERB ...`; each verb imports what it needs."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Sequence

from jaxcnn import __version__, trust
from jaxcnn.cli import (
    benchmarks,
    comparison,
    exports,
    faces,
    features,
    images,
    logs,
    networks,
    papers,
    pictures,
    predictions,
    runs,
    samples,
    studies,
)
from jaxcnn.cli.completion import complete
from jaxcnn.cli.terminal import subcommand
from jaxcnn.errors import InputError, nearest
from jaxcnn.files import local_path
from jaxcnn.interrupt import EXIT_INTERRUPTED
from jaxcnn.names import shown
from jaxcnn.process import set_up_process

EXIT_INPUT, EXIT_PIPE = 2, 141
LOADED = {  # by a verb before it begins, with a word to who waits; others load little, or what their options ask for
    "train": "jaxcnn.training.train",
    "summary": "jaxcnn.analysis.summary",
    "audit": "jaxcnn.analysis.audit",
    "frontier": "jaxcnn.visualize.frontier",
    "sweep": "jaxcnn.sweeps.study",
    "reproduce": "jaxcnn.sweeps.papers",
    "compare": "jaxcnn.visualize.caption",
    "report": "jaxcnn.visualize.collect",
    "convert": "jaxcnn.transfer",
    "statistics": "jaxcnn.training.normalise",
    **dict.fromkeys(
        ("evaluate", "predict", "export", "generate", "features", "neighbours", "probe", "verify", "identify"),
        "jaxcnn.evaluation.trained",
    ),
    "visualize": "jaxcnn.evaluation.trained",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit code.

    0, 1 (a run failed), 2 (wrong input), 143 or 130 (SIGTERM, Ctrl-C), 141 (who read the output reads no more).
    """
    try:
        try:
            return _run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()  # what is buffered would fail at Python's end
    except BrokenPipeError:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # a stream of another program's
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # for what is still in its buffer
        return EXIT_PIPE


def _run(argv):
    parser, verbs = _parser()
    complete(parser, verbs)
    if argv and not argv[0].startswith("-") and argv[0] not in verbs:
        parser.error(f"there is no verb '{shown(argv[0])}'; {nearest(argv[0], verbs)}")
    arguments, rest = parser.parse_known_args(argv)
    set_up_process()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # a stream of another program's
            stream.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8
    logging.basicConfig(level=logging.WARNING, handlers=[handler := logging.StreamHandler()])
    handler.setFormatter(_Shown("%(message)s"))
    for library in ("absl", "asyncio"):  # Orbax and its event loops log tracebacks of what it raises
        logging.getLogger(library).setLevel(logging.CRITICAL)
    logging.getLogger("huggingface_hub").propagate = False  # it has a handler of its own, and would say all twice
    try:
        if unknown := [word for word in rest if not (arguments.takes_config and _may_be_of_config(word))]:
            options = (option for option in arguments.options if option.startswith("--"))
            near = nearest(unknown[0].partition("=")[0], options)
            raise InputError(f"not an argument of this verb: {' '.join(unknown)}; {near}.")
        if (getattr(arguments, "seed", None) or 0) < 0:
            raise InputError(f"--seed is {arguments.seed}; it is 0 or more.")
        arguments.config_arguments = rest
        if workdir := getattr(arguments, "workdir", None):  # no shell expands the ~ of --workdir=~/run
            several = isinstance(workdir, list)
            arguments.workdir = [str(local_path(w)) for w in workdir] if several else str(local_path(workdir))
        trust.allow_given(getattr(arguments, "trust_code", ()))
        if arguments.name in LOADED:
            from jaxcnn.progress import waiting  # rich takes its time too

            with waiting("loading JAX and jaxcnn"):
                importlib.import_module(LOADED[arguments.name])
        return arguments.verb(arguments) or 0
    except InputError as error:
        if os.environ.get("JAXCNN_TRACEBACK"):
            traceback.print_exc()
        print(f"jaxcnn: {shown(error)}", file=sys.stderr)
        return EXIT_INPUT
    except KeyboardInterrupt:
        print("jaxcnn: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _may_be_of_config(word):
    """Whether `load_config` may read a word: an option of the config, or a value in a word of its own."""
    return not word.startswith("--") or re.match("--(no)?config([.=]|$)", word)


class _Shown(logging.Formatter):
    """Messages name files and classes, which may be a stranger's."""

    def format(self, record):
        return shown(super().format(record))


def _parser():
    """The parser, and its verbs by name."""
    parser = argparse.ArgumentParser(
        prog="jaxcnn",
        allow_abbrev=False,
        description="Trains, evaluates and compares "
        "convolutional networks. JAXCNN_TRACEBACK=1 shows where an error came from.",
    )
    parser.add_argument("--version", action="version", version=f"jaxcnn {__version__}")
    verbs = parser.add_subparsers(dest="name", metavar="VERB", required=True)

    def verb(function, name, text):
        added = subcommand(verbs, function, name, text)
        added.set_defaults(verb=function, takes_config=False)
        return added

    for group in (
        runs,
        predictions,
        exports,
        logs,
        comparison,
        samples,
        features,
        faces,
        images,
        pictures,
        networks,
        studies,
        papers,
        benchmarks,
    ):
        group.add(verb)
    return parser, verbs.choices
