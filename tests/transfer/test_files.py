"""Tensors of files: safetensors, .pth without running what is in it, Caffe's wire format against Google's protobuf."""

import argparse
import pickle

import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxcnn.errors import InputError
from jaxcnn.transfer.caffemodel import read_caffemodel
from jaxcnn.transfer.files import read_tensors
from jaxcnn.transfer.state_dict import find_weights


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
    save_file({"x": np.ones(2, np.float32)}, tmp_path / "b.safetensors")
    whole = (tmp_path / "b.safetensors").read_bytes()
    for name, content, message in (
        ("a.xyz", b"nothing", "safetensors, a state_dict of PyTorch"),
        ("a.safetensors", b"nothing", "cannot be read as safetensors"),
        ("a.safetensors", whole[:-3], "cannot be read as safetensors"),
        ("a.safetensors", b"<!DOCTYPE html>", "web page"),
        ("a.pth", b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("a.h5", b"\x89HDF\r\n", "HDF5"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_tensors(tmp_path / name)


def test_the_content_names_the_format_not_the_suffix(tmp_path):
    for name in ("b.safetensors", "b.bin", "b.pth", "b"):
        save_file({"x": np.ones(2, np.float32)}, tmp_path / name)
        np.testing.assert_array_equal(read_tensors(tmp_path / name)["x"], [1, 1])


PLAIN = {"conv1.weight": np.ones(2, np.float32), "layer1.0.bn1.bias": np.zeros(3, np.float32)}


def prefixed(prefix):
    return {prefix + name: array for name, array in PLAIN.items()}


def nested(*keys):
    found = PLAIN
    for key in reversed(keys):
        found = {key: found}
    return found


@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "model.", "net.", "module._orig_mod.", "_orig_mod.module.model.", "ema."]
)
def test_prefixes_that_training_leaves(tmp_path, prefix):
    save_file(prefixed(prefix), tmp_path / "x.safetensors")
    assert read_tensors(tmp_path / "x.safetensors").keys() == PLAIN.keys()
    assert find_weights({"state_dict": prefixed(prefix), "epoch": 3}, file="x").keys() == PLAIN.keys()


@pytest.mark.parametrize(
    "tree",
    [
        nested("net"), nested("model"), nested("model_state_dict"), nested("network"), nested("state_dict_ema"),
        nested("model_ema"), nested("ema", "module"), {"state_dict": prefixed("model."), "hyper_parameters": {"x": 1}},
        {"model": PLAIN, "optimizer": {"state": {0: {"step": np.ones(1)}}}, "epoch": 3},
        {"n_averaged": np.ones(()), **prefixed("module.")},
        {"layer1._orig_mod.0.bn1.bias": PLAIN["layer1.0.bn1.bias"], "conv1.weight": PLAIN["conv1.weight"]},
    ],
)  # fmt: skip
def test_where_the_weights_of_a_checkpoint_lie(tree):
    found = find_weights(tree, file="x.pth")
    assert found.keys() == PLAIN.keys()
    assert all(found[name] is array for name, array in PLAIN.items())


def test_plain_weights_beside_averages_are_taken_and_said(tmp_path, caplog):
    average = {name: array + 7 for name, array in PLAIN.items()}
    tree = {"model_ema": average, "model": PLAIN, "epoch": 1}
    flat = {f"{key}.{name}": x for key in ("model_ema", "model") for name, x in tree[key].items()}
    save_file(flat, tmp_path / "x.safetensors")
    flat_file = tmp_path / "x.safetensors"
    for read in (lambda key="": find_weights(tree, key=key, file="x.pth"), lambda key="": read_tensors(flat_file, key)):
        caplog.clear()
        np.testing.assert_array_equal(read()["conv1.weight"], 1)
        assert "the weights under model are taken; --key takes others: model_ema" in caplog.text
        caplog.clear()
        np.testing.assert_array_equal(read("model_ema")["conv1.weight"], 8)
        assert not caplog.text


def test_a_part_of_a_network_is_not_taken_for_a_prefix():
    tree = {"net.weight": np.ones(2), "head.weight": np.ones(2)}
    assert find_weights(tree, file="x").keys() == tree.keys()


def test_a_checkpoint_without_weights_lists_what_it_has():
    tree = {"generator": PLAIN, "epoch": 3}
    with pytest.raises(InputError, match=r"x\.pth holds no weights.*generator \(dict of 2\), epoch \(int\).*--key"):
        find_weights(tree, file="x.pth")
    assert find_weights(tree, key="generator", file="x.pth").keys() == PLAIN.keys()
    with pytest.raises(InputError, match=r"no weights under --key generater; did you mean 'generator'"):
        find_weights(tree, key="generater", file="x.pth")
    with pytest.raises(InputError, match="it holds list"):
        find_weights([1, 2], file="x.pth")


class Danger:
    def __reduce__(self):
        return print, ("executed",)


def test_a_pth_is_not_executed(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"x": Danger()}, 2))
    torch.save({"x": Danger()}, tmp_path / "evil.pt")
    (tmp_path / "newer.pth").write_bytes(pickle.dumps({"x": Danger()}))
    for name, message in (
        ("evil.pth", "holds print beside"),
        ("evil.pt", "holds print beside"),
        ("newer.pth", "cannot be read"),
    ):
        with pytest.raises(InputError, match=message) as error:
            read_tensors(tmp_path / name)
        assert "weights_only" not in str(error.value) and "\n" not in str(error.value)
    assert "executed" not in capsys.readouterr().out


def test_pth(tmp_path):
    torch = pytest.importorskip("torch")
    weights = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.half": torch.ones(2, dtype=torch.bfloat16)}
    checkpoint = {"state_dict": {f"module.{k}": v for k, v in weights.items()}, "epoch": 3}
    arguments = {"model": weights, "args": argparse.Namespace(rate=0.1)}  # as timm and DeiT write it
    for saved, name, options in (
        (weights, "x.pth", {}),
        (checkpoint, "x.pth.tar", {}),
        (arguments, "x.bin", {}),
        (weights, "x.th", {"_use_new_zipfile_serialization": False}),
    ):
        torch.save(saved, tmp_path / name, **options)
        found = read_tensors(tmp_path / name)
        assert found.keys() == weights.keys()
        np.testing.assert_array_equal(found["a.weight"], np.arange(6.0).reshape(2, 3))
        np.testing.assert_array_equal(found["a.half"], [1, 1])
    (tmp_path / "cut.pth").write_bytes((tmp_path / "x.pth").read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        read_tensors(tmp_path / "cut.pth")
