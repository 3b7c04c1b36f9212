"""Fields: what an example holds beside its image, declared by its source.

```python
fields = {"boxes": ((8, 4), np.float32), "box_mask": ((8,), np.float32), **GEOMETRY}    # at most 8, padded
fields = {"target": "image"}                                                            # pairs of images
```

Every array has one static shape: things of varying number are padded by the source, with a mask beside them. uint8 is
for pixels (h, w, c): the steps of training and evaluation bring them to the [0, 1] scale.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from jaxcnn.data.fit import DataError
from jaxcnn.errors import InputError, nearest

LABEL = {"label": ((), np.dtype(np.int32))}  # of a source that declares nothing

# Given by Records to a source that declares them: the part of the original that the pixels show, as (top, left, height,
# width) in its pixels, and the (height, width) of the original. A place y of it is (y - top) / height of the image.
GEOMETRY = {"view": ((4,), np.dtype(np.float32)), "size": ((2,), np.dtype(np.int32))}

TAKEN = ("image", "mask", "index", "record", "position")  # what a batch holds beside fields, here and on its way
DTYPES = tuple(map(np.dtype, ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32")))


def declared(source: Any, shape: Sequence[int]) -> tuple[dict[str, tuple[tuple[int, ...], np.dtype]], tuple[str, ...]]:
    """The declared fields of a source.

    Args:
      source: a Source.
      shape: (h, w, c) of its images, as they are shown.
    Returns:
      ({name: (shape, dtype)}, the names of those that are images).
    Raises:
      InputError: a declaration cannot be; the message names the field.
    """
    found, images = {}, []
    for name, value in (getattr(source, "fields", None) or LABEL).items():
        if name in TAKEN:
            raise InputError(f"{source.name} declares a field '{name}', a name that every batch has: give another.")
        if isinstance(value, str) and value == "image":
            found[name] = tuple(shape), np.dtype(np.uint8)
            images.append(name)
        else:
            found[name] = _shape_and_dtype(source, name, value)
        if found[name] != GEOMETRY.get(name, found[name]):
            raise InputError(
                f"{source.name} declares a field '{name}', but '{name}' is what the records give of the original, "
                f"{GEOMETRY[name][1]} {GEOMETRY[name][0]}: give yours another name."
            )
    return found, tuple(images)


def _shape_and_dtype(source, name, value):
    try:
        shape, dtype = value
        shape, dtype = tuple(map(int, shape)), np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{source.name} declares a field '{name}' as {value!r}; it is (shape, dtype), as ((4,), np.float32), or "
            "'image'."
        ) from error
    if dtype not in DTYPES or not all(side > 0 for side in shape):
        raise InputError(
            f"{source.name} declares a field '{name}' of {dtype} {shape}; sides are positive and the dtype is "
            f"one of {', '.join(map(str, DTYPES))}."
        )
    if dtype == np.uint8 and len(shape) != 3:
        raise InputError(
            f"{source.name} declares a field '{name}' of uint8 {shape}, but uint8 is for pixels (h, w, c), which are "
            "brought to the [0, 1] scale: int8 or int32 takes whole numbers."
        )
    return shape, dtype


def checked(
    values: Mapping[str, Any], fields: Mapping[str, Any], images: Collection[str], *, of: str, part: bool = False
) -> dict[str, Any]:
    """The values of an example as they are declared: arrays of their shapes and dtypes, images as they are stored.

    Args:
      values: {name: value}, as `Source.fetch` gives them.
      fields: {name: (shape, dtype)} that are wanted.
      images: the names of those that are images.
      of: the name of the source.
      part: whether some may be missing.
    Raises:
      ValueError: one is missing, is not declared, or is something else; the message names the field.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{of} gives {type(values).__name__} beside the image; it gives a dict of its fields")
    found = {}
    for name, (shape, dtype) in fields.items():
        if name not in values and part:
            continue
        if name not in values:
            raise ValueError(f"the field '{name}' is missing; {of} declares {in_words(name, shape, dtype, images)}")
        cast = _stored if name in images else _array
        try:
            found[name] = cast(values[name], shape, dtype)
        except ValueError as error:
            wanted = in_words(name, shape, dtype, images)
            raise ValueError(f"the field '{name}' is {error}; {of} declares {wanted}") from None
    if len(values) > len(found):
        unknown = next(name for name in values if name not in fields)
        raise ValueError(f"the field '{unknown}' is not declared by {of}; {nearest(unknown, fields)}")
    return found


def in_words(name: str, shape: Sequence[int], dtype: Any, images: Collection[str] = ()) -> str:
    """ "float32 (8, 4)", or "an image"."""
    return "an image" if name in images else f"{dtype} {shape}"


def _stored(value, shape, dtype):
    if not isinstance(value, bytes | np.ndarray | DataError):
        raise ValueError(type(value).__name__)
    return value


def _array(value, shape, dtype):
    """The value as an array; a ValueError describes one of another shape, or that would lose what it says."""
    if type(value) is int and (shape, dtype) == LABEL["label"] and value == value & 0x7FFFFFFF:
        return np.int32(value)  # a fifth of the time of what follows, and most fields are labels
    try:
        value = np.asarray(value)
    except ValueError:  # of lists in lists
        raise ValueError("ragged") from None
    if value.shape != shape or value.dtype.kind not in {"b": "b", "f": "buif"}.get(dtype.kind, "bui"):
        raise ValueError(f"{value.dtype} {value.shape}")
    found = value.astype(dtype)
    if dtype.kind != "f" and not (found == value).all():
        raise ValueError(f"from {value.min()} to {value.max()}")
    return found
