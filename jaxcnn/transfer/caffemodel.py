"""Weights of a Caffe network from its protobuf file, by the wire format and the field numbers of caffe.proto.

    message         fields
    NetParameter    layers (V1) = 2, layer = 100
    V1Layer         name = 4, blobs = 6
    Layer           name = 1, blobs = 7
    Blob            num, channels, height, width = 1-4 (old shapes), data = 5, shape = 7, double_data = 8
    Shape           dim = 1

A layer of V1 with its shared-parameter and training fields, and everything else in the file, is passed over. The
first layout of all (V0, layers inside a `layer` field of V1) has no name there and is refused.
"""

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LAYER_FIELDS = {2: (4, 6), 100: (1, 7)}  # of NetParameter: (name, blobs) of such a layer
PARTS = ("weight", "bias")


def read_caffemodel(data: bytes) -> dict[str, np.ndarray]:
    """{"conv1.weight": array, "conv1.bias": array, ...}: the first and second blob of every layer that has any.

    Old files give every blob four axes, (1, 1, out, in) for a full connection and (1, 1, 1, out) for a bias: leading
    axes of 1 go, so that a bias has one and a full connection two. A convolution whose blob has the new shape keeps it.

    Args:
      data: the bytes of a .caffemodel.
    Raises:
      ValueError: the bytes are not such a message, there is no layer with weights, or one has more than two blobs.
    """
    tensors = {}
    for number, value in _fields(memoryview(data)):
        if number not in LAYER_FIELDS:
            continue
        name, blobs = _layer(value, *LAYER_FIELDS[number])
        if not blobs:
            continue
        if not name or len(blobs) > len(PARTS):
            raise ValueError(f"layer {name!r} has {len(blobs)} blobs; a named layer of one or two was expected")
        for part, blob in zip(PARTS, blobs, strict=False):
            if f"{name}.{part}" in tensors:
                raise ValueError(f"two layers have the name {name!r}")
            tensors[f"{name}.{part}"] = _squeeze(blob, part)
    if not tensors:
        raise ValueError("there is no layer with weights in it")
    return tensors


def _layer(value, name_field, blobs_field):
    name, blobs = "", []
    for number, part in _fields(value):
        if number == name_field:
            name = bytes(part).decode()
        elif number == blobs_field:
            blobs.append(_blob(part))
    return name, blobs


def _blob(value):
    old, shape, data = {}, None, []
    for number, part in _fields(value):
        if number in (1, 2, 3, 4) and isinstance(part, int):
            old[number] = part
        elif number == 5:
            data.append(np.frombuffer(part, "<f4"))
        elif number == 8:
            data.append(np.frombuffer(part, "<f8"))
        elif number == 7:
            shape = tuple(_dimensions(part))
    data = np.concatenate(data) if data else np.zeros(0, np.float32)
    shape = tuple(old.get(i, 1) for i in (1, 2, 3, 4)) if shape is None else shape
    if data.size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"a blob of shape {shape} holds {data.size} numbers")
    return data.reshape(shape)


def _dimensions(value):
    for number, part in _fields(value):
        if number != 1:
            continue
        if isinstance(part, int):
            yield part
            continue
        position = 0
        while position < len(part):
            dimension, position = _varint(part, position)
            yield dimension


def _squeeze(blob, part):
    """Takes the leading axes of 1 of an old shape: down to one axis for a bias, to two for a full connection."""
    if part == "bias":
        return blob.reshape(-1)
    return blob.reshape(blob.shape[2:]) if blob.ndim == 4 and blob.shape[:2] == (1, 1) else blob


def _fields(data):
    """Yields (field number, value): an int of a varint, the bytes of anything else."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        kind = key & 7
        if kind == VARINT:
            value, position = _varint(data, position)
            yield key >> 3, value
            continue
        if kind == BYTES:
            size, position = _varint(data, position)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {position} is not known")
        if position + size > len(data):
            raise ValueError(f"it is cut off: {position + size - len(data)} bytes are missing")
        yield key >> 3, data[position : position + size]
        position += size


def _varint(data, position):
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError(f"no whole number at byte {position}")
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
