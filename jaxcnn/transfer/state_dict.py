"""The weights in what a file holds: under which key of a training checkpoint they lie, and what wraps their names.

A key and a prefix are one thing: a .pth has {"model": {"conv1.weight": ...}}, the same in a flat file is named
"model.conv1.weight".
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError, nearest
from jaxcnn.transfer.mapping import renamed

if TYPE_CHECKING:
    import numpy as np


logger = logging.getLogger(__name__)

# Of a file that has several, the first is taken: plain weights before averaged ones.
PLAIN = ("state_dict", "model_state_dict", "model", "net", "network", "module", "_orig_mod")
AVERAGED = ("state_dict_ema", "ema_state_dict", "model_ema", "ema_model", "ema")
WRAPPERS = PLAIN + AVERAGED
COUNTERS = ("n_averaged",)  # beside the weights in an average of torch.optim.swa_utils
COMPILED = "_orig_mod."  # anywhere in a name, where torch.compile was given a part of the network
SHOWN = 12


def find_weights(tree: Mapping[str, Any], *, key: str = "", file: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The tensors of a state_dict, by the names that the network itself gives them.

    Keys and prefixes that training leaves (`WRAPPERS`) are taken away, in any order and number. A prefix counts only
    where every name has one: a network may have a part called "net" beside others. Where averaged weights lie beside
    plain ones, the plain ones are taken and a warning names the others.

    Args:
      tree: {name: array}, or nested dicts in which such a one lies.
      key: where it lies, "checkpoint.model"; "" looks for it.
      file: where it comes from, for errors.
    Returns:
      {name: array}.
    Raises:
      InputError: there is no such key, or no key that is known; the message lists those that are there.
    """
    for part in key.split(".") if key else ():
        groups = _groups(tree)
        if not isinstance(groups.get(part), Mapping):
            raise InputError(f"{file} has no weights under --key {key}; {nearest(part, groups)}")
        tree = groups[part]
    path = [key] if key else []
    while found := _wrappers(tree):
        first, *others = found
        if others:
            here = [".".join((*path, name)) for name in found]
            logger.warning(f"{file}: the weights under {here[0]} are taken; --key takes others: {', '.join(here[1:])}.")
        path.append(first)
        tree = _groups(tree)[first]
    if not isinstance(tree, Mapping) or not tree or not all(hasattr(x, "shape") for x in tree.values()):
        raise InputError(f"{file} holds no weights under a name that is known ({', '.join(WRAPPERS)}): {_listed(tree)}")
    tensors = {name: array for name, array in tree.items() if name not in COUNTERS}
    return renamed(tensors, lambda name: name.replace(COMPILED, ""))


def _groups(tree):
    """{first part of a name: what is under it}: keys of nested dicts, and prefixes of flat names."""
    groups = {}
    for name, value in tree.items() if isinstance(tree, Mapping) else ():
        first, dot, rest = str(name).partition(".")
        if dot and not isinstance(value, Mapping):
            groups.setdefault(first, {})[rest] = value
        else:
            groups[str(name)] = value
    return groups


def _wrappers(tree):
    """The known keys under which weights lie here, the best first."""
    groups = _groups(tree)
    found = [name for name in WRAPPERS if isinstance(groups.get(name), Mapping)]
    nested = [name for name in found if isinstance(tree.get(name), Mapping)]
    return nested or (found if set(groups) <= {*found, *COUNTERS} else [])


def _listed(tree):
    if not isinstance(tree, Mapping):
        return f"it holds {type(tree).__name__}, where names and tensors are expected."
    names = [f"{name} ({_kind(value)})" for name, value in list(tree.items())[:SHOWN]]
    more = f" and {len(tree) - SHOWN} more" if len(tree) > SHOWN else ""
    return f"it has {', '.join(names) or 'nothing'}{more}. Name the right one with --key."


def _kind(value):
    if isinstance(value, Mapping):
        return f"dict of {len(value)}"
    return f"tensor {tuple(value.shape)}" if hasattr(value, "shape") else type(value).__name__
