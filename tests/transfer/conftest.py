"""Caffe's messages, written by Google's protobuf library."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def caffe():
    """The messages of caffe.proto that hold weights, built by Google's library from their field numbers."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="caffe_weights.proto", package="caffe", syntax="proto2")
    kinds = {"int32": 5, "int64": 3, "float": 2, "double": 1, "string": 9, "enum": 5}
    messages = {
        "BlobShape": [("dim", 1, "int64", "packed")],
        "BlobProto": [
            *((name, i, "int32", "") for i, name in enumerate(("num", "channels", "height", "width"), start=1)),
            ("data", 5, "float", "packed"), ("diff", 6, "float", "packed"), ("shape", 7, "BlobShape", ""),
            ("double_data", 8, "double", "packed"),
        ],
        "LayerParameter": [("name", 1, "string", ""), ("type", 2, "string", ""), ("blobs", 7, "BlobProto", "many")],
        "V1LayerParameter": [("name", 4, "string", ""), ("type", 5, "enum", ""), ("blobs", 6, "BlobProto", "many")],
        "NetParameter": [
            ("name", 1, "string", ""), ("layers", 2, "V1LayerParameter", "many"),
            ("layer", 100, "LayerParameter", "many"),
        ],
    }  # fmt: skip
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = message.field.add(name=field, number=number, label=3 if repeated else 1)
            added.type = kinds.get(kind, 11)
            if kind not in kinds:
                added.type_name = f".caffe.{kind}"
            if repeated == "packed":
                added.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in messages}


def _fill(message, array, *, old=False):
    """Puts an array into a BlobProto; old: with the four axes that files had before there was a shape."""
    if old:
        shape = (1,) * (4 - array.ndim) + array.shape
        message.num, message.channels, message.height, message.width = shape
    else:
        message.shape.dim.extend(array.shape)
    (message.double_data if array.dtype == np.float64 else message.data).extend(array.ravel().tolist())


@pytest.fixture(scope="session")
def fill():
    """fill(message, array, old=False), see above."""
    return _fill
