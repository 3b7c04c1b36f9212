"""Tensors of files: safetensors, .pth without running what is in it, Caffe's wire format against Google's protobuf."""

import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxcnn.errors import InputError
from jaxcnn.transfer.caffemodel import read_caffemodel
from jaxcnn.transfer.files import read_tensors


@pytest.mark.parametrize(("field", "old"), [("layer", False), ("layers", True)])
def test_both_generations_of_caffe(caffe, fill, field, old):
    rng = np.random.default_rng(0)
    net, expected = caffe["NetParameter"](name="net"), {}
    for name, shape in (("conv1", (4, 3, 5, 5)), ("a/b_c", (200, 2, 1, 1)), ("ip1", (6, 7))):
        layer = getattr(net, field).add(name=name)
        for part, size in (("weight", shape), ("bias", shape[:1])):
            array = rng.normal(size=size).astype(np.float64 if name == "ip1" else np.float32)
            fill(layer.blobs.add(), array, old=old)
            expected[f"{name}.{part}"] = array
    getattr(net, field).add(name="relu1")  # without weights
    found = read_caffemodel(net.SerializeToString())
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_numbers_that_are_not_packed(caffe):
    # field 5 one by one, wire type 5, as proto2 writes without [packed]
    blob = b"\x3a\x02\x08\x02" + b"".join(b"\x2d" + np.float32(x).tobytes() for x in (1.5, -2))
    layer = b"\x0a\x01a" + b"\x3a" + bytes([len(blob)]) + blob
    found = read_caffemodel(b"\xa2\x06" + bytes([len(layer)]) + layer)
    np.testing.assert_array_equal(found["a.weight"], np.array([1.5, -2], np.float32))


def test_damaged_caffemodels(caffe, fill, tmp_path):
    net = caffe["NetParameter"]()
    fill(net.layer.add(name="conv1").blobs.add(), np.ones((2, 3), np.float32))
    data = net.SerializeToString()
    file = tmp_path / "x.caffemodel"
    for damaged, message in (
        (data[:-5], "cut off"),
        (b"\x0a\x03net", "no layer with weights"),
        (b"<!DOCTYPE html>", "caffemodel"),
        (b"", "no layer with weights"),
        (data * 2, "two layers have the name 'conv1'"),
    ):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            read_tensors(file)
    net.layer[0].blobs[0].data.append(1)
    with pytest.raises(ValueError, match=r"shape \(2, 3\) holds 7 numbers"):
        read_caffemodel(net.SerializeToString())


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"no file .*gone\.safetensors"):
        read_tensors(tmp_path / "gone.safetensors")
    for name, message in (("a.h5", r"\.safetensors, \.pth"), ("a.safetensors", "cannot be read as safetensors")):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(InputError, match=message):
            read_tensors(tmp_path / name)
    save_file({"x": np.ones(2, np.float32)}, tmp_path / "b.safetensors")
    np.testing.assert_array_equal(read_tensors(tmp_path / "b.safetensors")["x"], [1, 1])


class Danger:
    def __reduce__(self):
        return print, ("executed",)


def test_a_pth_is_not_executed(tmp_path, capsys):
    pytest.importorskip("torch")
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"x": Danger()}))
    with pytest.raises(InputError, match="weights_only"):
        read_tensors(tmp_path / "evil.pth")
    assert "executed" not in capsys.readouterr().out


def test_pth(tmp_path):
    torch = pytest.importorskip("torch")
    weights = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.half": torch.ones(2, dtype=torch.bfloat16)}
    for saved in (weights, {"state_dict": {f"module.{k}": v for k, v in weights.items()}, "epoch": 3}):
        torch.save(saved, tmp_path / "x.pth")
        found = read_tensors(tmp_path / "x.pth")
        assert found.keys() == weights.keys()
        np.testing.assert_array_equal(found["a.weight"], np.arange(6.0).reshape(2, 3))
        np.testing.assert_array_equal(found["a.half"], [1, 1])
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="no state_dict"):
        read_tensors(tmp_path / "list.pth")
