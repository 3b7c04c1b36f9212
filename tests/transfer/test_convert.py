"""Weights from elsewhere become a run that evaluate and predict open, and go back to the file they came from."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from jaxcnn import InputError, Trained, cli, default_config
from jaxcnn.architectures import create
from jaxcnn.training.state import abstract_variables
from jaxcnn.transfer import SOURCES, convert, export
from jaxcnn.transfer.lenet_caffe import LeNetCaffe
from jaxcnn.transfer.mapping import to_tensors
from jaxcnn.transfer.sources import find_layout


@pytest.fixture(scope="module")
def imported(shared, tmp_path_factory):
    """The run of the ResNet-20 that was trained in PyTorch."""
    workdir = tmp_path_factory.mktemp("imported") / "run"
    file = shared / "weights" / "cifar10_resnet20.safetensors"
    options = {"data": "tfds:cifar10", "data_dir": str(shared / "tfds")}
    assert convert("torchvision", "resnet20", file, workdir, **options) == 269_722
    return workdir


@pytest.mark.long
def test_a_network_trained_elsewhere_keeps_its_error(imported):
    # In a process of its own, on one device: eight simulated ones on a busy machine run into XLA's time limit.
    command = [sys.executable, "-m", "jaxcnn", "evaluate", "--workdir", str(imported), "--split", "test", "--json"]
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["n"] == 10_000 and row["architecture"] == "resnet20" and row["step"] == 0
    assert row["top1"] == pytest.approx(0.9173, abs=1e-6)
    confusion = np.array(json.loads((imported / "evaluations.jsonl").read_text())["confusion"])
    assert confusion.sum() - confusion.trace() == 827


def test_export_gives_the_file_back(imported, shared, tmp_path):
    original = load_file(shared / "weights" / "cifar10_resnet20.safetensors")
    assert export(imported, tmp_path / "back.safetensors") == len(original) == 97
    back = load_file(tmp_path / "back.safetensors")
    assert back.keys() == original.keys()
    for name, array in original.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name, strict=True)


def test_what_lies_beside_the_weights(imported):
    network = Trained(imported)
    assert network.classes[:2] == ("airplane", "automobile") and network.shape == (32, 32, 3)
    np.testing.assert_array_equal(network.mean, np.float32([0.485, 0.456, 0.406]))
    np.testing.assert_array_equal(network.std, np.float32([0.229, 0.224, 0.225]))
    prepared = json.loads((imported / "preprocessing.json").read_text())
    assert prepared["resize"] is None and prepared["channel_order"] == "RGB" and prepared["source"] == "torchvision"


@pytest.fixture(scope="module")
def lenet_file(tmp_path_factory):
    """Caffe's LeNet at random, as safetensors."""
    rng = np.random.default_rng(0)
    _, entries, _ = find_layout("caffe", "lenet_caffe", {})
    like = abstract_variables(LeNetCaffe(), (28, 28, 1))
    variables = jax.tree.map(lambda x: (0.1 * rng.normal(size=x.shape)).astype(np.float32), like)
    file = tmp_path_factory.mktemp("lenet") / "lenet.safetensors"
    save_file(to_tensors(entries, variables), file)
    return file


def test_without_a_data_set(lenet_file, tmp_path):
    names = [f"digit {i}" for i in range(10)]
    assert convert("caffe", "lenet_caffe", lenet_file, tmp_path / "run", classes=names) == 431_080
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    (row,) = Trained(tmp_path / "run").predict([tmp_path / "x.png"])
    expected = _lenet(load_file(lenet_file), pixels.astype(np.float64) / 256)
    assert list(row["probabilities"]) == names
    np.testing.assert_allclose(list(row["probabilities"].values()), expected, rtol=1e-4, atol=1e-7)
    assert export(tmp_path / "run", tmp_path / "back.safetensors", source="caffe") == 8
    for name, array in load_file(lenet_file).items():
        np.testing.assert_array_equal(load_file(tmp_path / "back.safetensors")[name], array)


def test_images_are_prepared_as_the_weights_were_trained(lenet_file, tmp_path):
    preparation = {"resize": 32, "interpolation": "bicubic"}
    convert("caffe", "lenet_caffe", lenet_file, tmp_path / "run", **preparation)
    network = Trained(tmp_path / "run")
    assert (network.config.data.resize, network.config.data.interpolation) == (32, "bicubic")
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 96), np.uint8))
    image.save(tmp_path / "x.png")
    (row,) = network.predict([tmp_path / "x.png"])
    window = np.asarray(image.resize((48, 32), Image.Resampling.BICUBIC))[2:30, 10:38]
    expected = network.probabilities(window[None, :, :, None])[0]
    np.testing.assert_allclose(list(row["probabilities"].values()), expected, rtol=1e-3)


def test_the_scale_of_caffe_is_a_deviation_wherever_the_data_set_is_named(lenet_file, tmp_path, capsys):
    digits = tmp_path / "digits"
    for number in range(10):
        (digits / str(number)).mkdir(parents=True)
        for copy in range(6):
            pixels = np.random.default_rng(10 * number + copy).integers(0, 256, (28, 28), np.uint8)
            Image.fromarray(pixels).save(digits / str(number) / f"{copy}.png")
    assert convert("caffe", "lenet", lenet_file, tmp_path / "run", data=f"folder:{digits}") == 431_080
    named = Trained(tmp_path / "run").evaluate("test")[1]
    convert("caffe", "lenet_caffe", lenet_file, tmp_path / "without")
    command = ["evaluate", "--workdir", str(tmp_path / "without"), "--split", "test", "--json"]
    assert cli.main([*command, "--data", f"folder:{digits}"]) == 0
    later = json.loads(capsys.readouterr().out)
    assert later["n"] == named["n"] > 0 and later["loss"] == named["loss"]


def test_names_of_the_library_and_preparation_on_the_command_line(lenet_file, tmp_path, capsys, caplog):
    where = ["--workdir", str(tmp_path / "run")]
    command = ["convert", "--from", "caffe", "--architecture", "lenet", str(lenet_file), *where]
    options = ["--resize", "32", "--image_size", "28", "--interpolation", "bicubic"]
    assert cli.main([*command, *options]) == 0
    assert "caffe's lenet is lenet_caffe here." in caplog.text
    printed = capsys.readouterr().out
    assert "images: short side to 32, bicubic, then 28x28 from the centre; mean 0, deviation 1.004" in printed
    data = Trained(tmp_path / "run").config.data
    assert (data.resize, data.image_size, data.interpolation) == (32, (28, 28), "bicubic")
    assert cli.main([*command, "--image_size", "28,x"]) == 2


TABLE = {
    "stem": "conv1", "second.0": "conv2", "second.1": "cccp1", "third": "cccp2", "fourth": "cccp3", "fifth": "cccp4",
    "sixth": "conv3", "seventh": "cccp5", "eighth": "cccp6",
}  # fmt: skip


def test_a_table_of_names(tmp_path):
    table = tmp_path / "names.json"
    table.write_text(json.dumps(TABLE))
    _, entries, _ = find_layout(str(table), "nin_cifar", {})
    rng = np.random.default_rng(0)
    like = abstract_variables(create("nin_cifar"), (32, 32, 3))
    variables = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), like)
    tensors = to_tensors(entries, variables)
    assert set(tensors) == {f"{name}.{part}" for name in TABLE for part in ("weight", "bias")}
    save_file({f"module.{name}": x for name, x in tensors.items()}, tmp_path / "nin.safetensors")
    with pytest.raises(InputError, match="needs --mean"):
        convert(str(table), "nin_cifar", tmp_path / "nin.safetensors", tmp_path / "run")
    usual = {"mean": (0.5,), "std": (0.25,)}
    assert convert(str(table), "nin_cifar", tmp_path / "nin.safetensors", tmp_path / "run", **usual) == 966_986
    jax.tree.map(np.testing.assert_array_equal, Trained(tmp_path / "run").variables["params"], variables["params"])
    assert export(tmp_path / "run", tmp_path / "back.safetensors", source=str(table)) == len(tensors)


def test_a_table_says_how_a_map_was_flattened(lenet_file, tmp_path):
    table = tmp_path / "names.json"
    table.write_text('{"a": "conv1", "b": "pool1_norm"}')
    with pytest.raises(InputError, match=r"names\.json: 'b' is 'pool1_norm', which is no layer of alexnet_owt"):
        find_layout(str(table), "alexnet_owt", {})
    table.write_text('{"a": "conv1"}')
    with pytest.raises(InputError, match=r"no row for fc8"):
        find_layout(str(table), "alexnet_owt", {})
    for row in ("3", '{"layer": "fc6", "flatten": 9}', '{"to": "fc6"}'):
        table.write_text(f'{{"a": {row}}}')
        with pytest.raises(InputError, match=r"'a' is .*; it is the name of a layer"):
            find_layout(str(table), "alexnet_owt", {})
    table.write_text('{"x": {"layer": "fc6", "flatten": [256, 6, 6]}, "y": "fc8"}')
    _, entries, _ = find_layout(str(table), "alexnet_owt", {})
    expected = {e.path: e for e in find_layout("torchvision", "alexnet_owt", {})[1]}
    weight = np.arange(2 * 256 * 36, dtype=np.float32).reshape(2, -1)
    (kernel,) = (e for e in entries if e.name == "x.weight")
    theirs = expected[kernel.path].transform.forward(weight, (9216, 2))
    np.testing.assert_array_equal(kernel.transform.forward(weight, (9216, 2)), theirs)


def test_a_network_that_the_source_computes_otherwise_is_not_exported(tmp_path, monkeypatch):
    """torchvision's Inception-v3 counts the zeros of padding in its average pooling, ours by default does not."""
    config = default_config()
    config.model.name = "inception_v3"
    trained = SimpleNamespace(config=config, model=create("inception_v3"))
    monkeypatch.setattr(sys.modules["jaxcnn.transfer.convert"], "Trained", lambda workdir, checkpoint: trained)
    with pytest.raises(InputError, match="is ours with count_padding=True, but run was trained with False"):
        export("run", tmp_path / "weights.safetensors")


def test_an_export_that_cannot_be_read_or_written_is_refused_before_work(tmp_path):
    for name, message in (
        ("back.pth", r"back\.pth would hold safetensors: give it the suffix \.safetensors"),
        ("gone/back.safetensors", "there is no folder .*gone"),
    ):
        with pytest.raises(InputError, match=message):  # before the run is looked for
            export(tmp_path / "no_run", tmp_path / name)


def _lenet(weights, x):
    """Caffe's LeNet in NumPy, in Caffe's order (c, h, w)."""
    x = x[None]
    for layer in ("conv1", "conv2"):
        kernel = weights[f"{layer}.weight"].astype(np.float64)
        windows = np.lib.stride_tricks.sliding_window_view(x, (5, 5), axis=(1, 2))
        x = np.einsum("chwij,ocij->ohw", windows, kernel) + weights[f"{layer}.bias"][:, None, None]
        x = x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2).max((2, 4))
    x = np.maximum(weights["ip1.weight"] @ x.ravel() + weights["ip1.bias"], 0)
    x = weights["ip2.weight"] @ x + weights["ip2.bias"]
    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()


def test_mistakes_leave_no_run_behind(lenet_file, tmp_path):
    tensors, workdir = load_file(lenet_file), tmp_path / "run"
    save_file({k: v for k, v in tensors.items() if k != "conv1.bias"}, tmp_path / "less.safetensors")
    for arguments, options, message in (
        (("caffe", "lenet_caffe", tmp_path / "less.safetensors"), {}, r"not in the file: conv1\.bias"),
        (("caffe", "vgg_d", lenet_file), {}, r"no fc8\.bias"),
        (("caffe", "lenet_caffe", lenet_file), {"classes": ["a", "b"]}, "10 classes, but 2 are named"),
        (("caffe", "lenet_caffe", lenet_file), {"meen": (0.5,)}, "'meen'.*did you mean 'mean'"),
        (("caffe", "lenet_caffe", lenet_file), {"mean": (0.1, 0.2)}, "--mean, one number or 1"),
        (("caffe", "lenet_caffe", lenet_file), {"resize": 27}, "resize is 27"),
        (("caffe", "lenet_caffe", lenet_file), {"options": {"widht": 3}}, "widht"),
        (("caffe", "lenet_caffe", lenet_file), {"std": (2.0,)}, r"config\.data\.std is '2\.0'"),
        (("caffe", "lenet_caffe", lenet_file), {"std": (2.0,), "data": "tfds:mnist"}, r"config\.data\.std is '2\.0'"),
        (("caffe", "lenet_caffe", lenet_file), {"key": "model_ema"}, "no weights under --key model_ema"),
    ):
        with pytest.raises(InputError, match=message):
            convert(*arguments, workdir, **options)
        assert not workdir.exists()
    convert("caffe", "lenet_caffe", lenet_file, workdir)
    with pytest.raises(InputError, match="holds a run already"):
        convert("caffe", "lenet_caffe", lenet_file, workdir)


def test_a_file_of_another_network_with_batch_norms_is_refused(tmp_path):
    save_file({name: np.zeros(shape, np.float32) for name, shape in cifar_shapes().items()}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match=r"no classifier\.6\.bias"):
        convert("torchvision", "vgg16_bn", tmp_path / "x.safetensors", tmp_path / "run")


def test_every_preparation_is_stated():
    for source, layouts in SOURCES.items():
        for name, layout in layouts.items():
            prepared = layout.preprocessing
            unknown = name == "nin_cifar" or (name.startswith("densenet") and prepared.image_size == (32, 32))
            assert len(prepared.mean) == len(prepared.std) == (0 if unknown else prepared.channels), source
            assert (prepared.channel_order == "BGR") == (source == "caffe" and prepared.resize == 256)


def test_a_directory_of_converted_weights_is_not_trained_in_and_needs_data_to_be_evaluated(tmp_path, capsys):
    tensors = {name: np.zeros(shape, np.float32) for name, shape in cifar_shapes().items()}
    save_file(tensors, tmp_path / "zeros.safetensors")
    names = tmp_path / "names.txt"
    names.write_text("\n".join("abcdefghij"))
    where = ["--workdir", str(tmp_path / "run")]
    command = ["convert", "--from", "torchvision", "--architecture", "resnet20", str(tmp_path / "zeros.safetensors")]
    assert cli.main([*command, *where, "--classes", str(names)]) == 0
    assert "269,722 parameters" in capsys.readouterr().out
    assert cli.main(["evaluate", *where]) == 2
    assert "name one by --data" in capsys.readouterr().err
    config = tmp_path / "config.py"
    config.write_text("from jaxcnn import default_config as get_config")
    assert cli.main(["train", f"--config={config}", *where]) == 2
    assert "holds converted weights" in capsys.readouterr().err
    assert cli.main(["convert", "--to", "torchvision", str(tmp_path / "back.safetensors"), *where]) == 0
    assert "97 tensors" in capsys.readouterr().out


def cifar_shapes():
    """The 97 tensors of the public CIFAR ResNet-20 layout."""
    shapes = {"conv1.weight": (16, 3, 3, 3), **norm_shapes("bn1", 16)}
    c_in = 16
    for layer, width in enumerate((16, 32, 64), start=1):
        for block in range(3):
            where = f"layer{layer}.{block}"
            shapes[f"{where}.conv1.weight"] = (width, c_in, 3, 3)
            shapes[f"{where}.conv2.weight"] = (width, width, 3, 3)
            shapes |= norm_shapes(f"{where}.bn1", width) | norm_shapes(f"{where}.bn2", width)
            c_in = width
    return {**shapes, "linear.weight": (10, 64), "linear.bias": (10,)}


def norm_shapes(name, width):
    return {f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
