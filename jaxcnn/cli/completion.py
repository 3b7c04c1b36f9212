"""Completion of a command line in a shell, by argcomplete: verbs, options, config keys, and names of ours."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping


def complete(parser: argparse.ArgumentParser, verbs: Mapping[str, argparse.ArgumentParser]) -> None:
    """Where a shell asks for completions it writes them and ends; without argcomplete there are none.

    Args:
      parser: of the whole command line.
      verbs: {verb: its parser}.
    """
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        return
    for parser_of_verb in verbs.values():
        if parser_of_verb.get_default("takes_config"):
            _add_config(parser_of_verb)
    _complete_with(verbs["sweep"], "study", _files("experiments"))
    _complete_with(verbs["summary"], "architecture", _architectures)
    argcomplete.autocomplete(parser)


def _complete_with(parser, argument, completer):
    for action in parser._actions:  # argparse has no other way to one
        if action.dest == argument:
            action.completer = completer


def _add_config(parser):
    """The options that config_flags reads: --config=NAME and a key each."""
    from jaxcnn.architectures import ARCHITECTURES
    from jaxcnn.tasks import TASKS
    from jaxcnn.training.config import default_config, flatten

    parser.add_argument("--config").completer = _files("configs")
    names = {"model.name": ARCHITECTURES, "task.name": TASKS}
    for key in sorted(flatten(default_config())):
        parser.add_argument(f"--config.{key}", choices=names.get(key))


def _files(folder):
    """A completer of names of ours, and of paths."""

    def completer(prefix, **_):
        from argcomplete.completers import FilesCompleter

        from jaxcnn.shipped import names

        return [*names(folder), *FilesCompleter(("py",))(prefix)]

    return completer


def _architectures(**_):
    from jaxcnn.architectures import ARCHITECTURES

    return list(ARCHITECTURES)
