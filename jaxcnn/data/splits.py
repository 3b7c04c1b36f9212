"""Split expressions, in the syntax of tensorflow-datasets, for every source."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from jaxcnn.errors import InputError


def resolve_split(expression: str, source: Any) -> list[tuple[str, int, int]]:
    """Resolves a split expression against the splits of a source.

    Args:
      expression: `train`, `train[:90%]`, `train[10:20]`, `train[-100:]`, `train[:50%]+test`, `all`.
      source: a Source; only the splits that the expression names are asked for their lengths.
    Returns:
      A list of (split, start, stop), in the order of the expression, none of them empty.
    Raises:
      ValueError: the syntax is wrong, a split does not exist, or a slice is empty or reaches beyond the split.
    """
    from tensorflow_datasets.core import ReadInstruction

    try:
        instructions = ReadInstruction.from_spec(expression).to_absolute(_SplitInfos(source))
    except InputError:  # the files are not as they should be, not the expression
        raise
    except (ValueError, NotImplementedError) as error:
        raise ValueError(_explain(expression, source, str(error).strip().splitlines()[-1])) from None
    parts = []
    for instruction in instructions:
        length = sum(source.shard_lengths(instruction.splitname))
        start = instruction.from_ or 0
        stop = length if instruction.to is None else instruction.to
        if start >= stop:
            raise ValueError(_explain(expression, source, f"records {start} to {stop} of {length} are an empty slice"))
        parts.append((instruction.splitname, start, stop))
    return parts


class _SplitInfos(Mapping):
    """tensorflow-datasets' view of the splits; lazy, because to count the files of an image folder is slow."""

    def __init__(self, source):
        self._source = source

    def __getitem__(self, name):
        from tensorflow_datasets.core import SplitInfo

        return SplitInfo(name=name, shard_lengths=list(self._source.shard_lengths(name)), num_bytes=0)

    def __contains__(self, name):
        return name in self._source.split_names

    def __iter__(self):
        return iter(self._source.split_names)

    def __len__(self):
        return len(self._source.split_names)


def _explain(expression, source, reason):
    names = source.split_names
    asked = re.findall(r"[\w-]+(?=\[|\s*\+|\s*$)", str(expression))
    nearest = [match for name in asked if name not in names for match in difflib.get_close_matches(name, names, 1)]
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    return (
        f"split {expression!r} of {source.name}: {reason.rstrip('.')}.{hint} Its splits are {', '.join(names)}; "
        "a slice is written train[:90%], train[10:20] or train[:50%]+test"
    )
