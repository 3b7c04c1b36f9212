"""The arrays of a pytree by their names: compared with others, and their checksums."""

import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxcnn.errors import InputError

SHOWN = 8


def named(tree: Any) -> dict[str, Any]:
    """{"params/fc/kernel": leaf, ...} of a pytree, whether its nodes are dicts, lists or classes."""
    return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _name(path):
    return "/".join(str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path)


def compare(saved: Any, wanted: Mapping[str, Any], where: str) -> None:
    """Raises InputError, with both sides, where {name: array} of a checkpoint are not those wanted."""
    shapes = [
        f"{name} {tuple(saved[name].shape)} there, {tuple(wanted[name].shape)} here"
        for name in sorted(set(saved) & set(wanted))
        if name.rpartition("/")[2] != "key" and tuple(saved[name].shape) != tuple(wanted[name].shape)
    ]
    differences = {
        "only in the checkpoint": sorted(set(saved) - set(wanted)),
        "only in this model": sorted(set(wanted) - set(saved)),
        "other shapes": shapes,
    }
    parts = [f"{title}: {_listed(rows)}" for title, rows in differences.items() if rows]
    if parts:
        raise InputError(f"{where} does not fit this model and optimizer. " + "; ".join(parts) + ".")


def checksums(arrays: Mapping[str, Any]) -> dict[str, str]:
    """{name: CRC-32 of its bytes, 8 hex digits} of {name: array}; a PRNG key counts as its numbers.

    Meant for what disks and cables do, not for an adversary: every burst of up to 32 wrong bits changes it, and at
    2 GB/s it does not show beside the writing.
    """
    plain = {name: jax.random.key_data(x) if _is_key(x) else x for name, x in arrays.items()}
    return {name: f"{_crc(x):08x}" for name, x in jax.device_get(plain).items()}


def _crc(array):
    content: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return zlib.crc32(content)


def _is_key(x):
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def not_finite(arrays: Mapping[str, Any]) -> str:
    """The names of the arrays that hold NaN or infinity, for a message; "" where all are finite."""
    return _listed(sorted(name for name, x in arrays.items() if not np.isfinite(x).all()))


def _listed(rows):
    return ", ".join(rows[:SHOWN]) + (f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else "")
