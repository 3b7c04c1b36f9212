"""Totals of a model against counts made by hand."""

import json

import jax.numpy as jnp
import pytest

from jaxcnn import create, summarize
from jaxcnn.analysis.summary import layer_table
from jaxcnn.architectures import CLAIMS

KEYS = {"input", "parameters", "parameter_bytes", "macs", "activations", "receptive_field", "stages", "layers", "notes"}
LAYER = {
    "layer", "kind", "stage", "inputs", "shape", "bytes", "parameters", "macs", "auxiliary", "receptive_field"
}  # fmt: skip


def test_totals_of_a_network_counted_by_hand():
    model = create("convnet", widths=(4, 6), convolutions=1, hidden=(5,), num_classes=3)
    convolutions = (3 * 3 * 2 * 4 + 4) + (3 * 3 * 4 * 6 + 6)
    connections = (2 * 2 * 6 * 5 + 5) + (5 * 3 + 3)
    found = summarize(model, (8, 8, 2), batch=7)
    assert set(found) == KEYS and json.loads(json.dumps(found))["macs"] == found["macs"]
    assert found["input"] == (7, 8, 8, 2)
    assert found["parameters"] == convolutions + connections
    assert found["parameter_bytes"] == 4 * (convolutions + connections)
    shapes = {"conv1_1": (7, 8, 8, 4), "pool1": (7, 4, 4, 4), "conv2_1": (7, 4, 4, 6), "pool2": (7, 2, 2, 6)}
    shapes |= {"fc1": (7, 5), "logits": (7, 3)}
    assert {stage["stage"]: stage["shape"] for stage in found["stages"]} == shapes
    values = (256, 64, 96, 24, 5, 3)
    assert [stage["bytes"] for stage in found["stages"]] == [4 * 7 * n for n in values]
    assert found["macs"] == 64 * 9 * 2 * 4 + 16 * 9 * 4 * 6 + 24 * 5 + 5 * 3
    assert found["activations"]["values"] == 7 * (128 + sum(values))
    assert found["receptive_field"]["pool2"]["size"] == (10, 10)  # 3 - 4 - 8 - 10
    assert found["receptive_field"]["pool2"]["stride"] == (4, 4)
    assert found["receptive_field"]["pool2"]["padding"] == ((3, 3), (3, 3))
    assert [layer["layer"] for layer in found["layers"]][:3] == ["input", "conv1_1", "pool1"]
    assert set(found["layers"][1]) == LAYER and found["notes"] == []


def test_stages_come_in_the_order_of_the_network():
    stages = [stage["stage"] for stage in summarize(create("resnet20"), (32, 32, 3))["stages"]]
    assert stages == ["conv1", "stage1", "stage2", "stage3", "pool", "logits"]
    stages = [stage["stage"] for stage in summarize("lenet5")["stages"]]
    assert stages == ["C1", "S2", "C3", "S4", "C5", "F6", "logits"]


def test_a_network_that_returns_an_image_ends_with_it():
    found = summarize(create("dncnn", depth=3, width=4), (8, 6, 1))
    assert [stage["stage"] for stage in found["stages"]] == ["conv1", "conv2", "conv3", "image"]
    assert found["stages"][-1]["shape"] == (1, 8, 6, 1) and found["layers"][-1]["layer"] == "image"
    lines = layer_table(found)
    assert f"{found['macs']:,} MACs for an image, to the output 'image'" in lines
    assert "logits" not in "".join(lines)


QUICK = (
    "convnet", "lenet5", "lenet5_common", "mlp", "resnet20", "plain20", "alexnet", "zfnet", "vgg_a", "nin_cifar",
    "googlenet_small", "resnet18", "autoencoder_mlp", "autoencoder_conv", "unet_small", "dncnn",
)  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.long]) for n in CLAIMS])
def test_totals_are_those_that_the_architecture_claims(name):
    found = summarize(create(name), CLAIMS[name].input)
    assert (found["parameters"], found["macs"]) == (CLAIMS[name].parameters, CLAIMS[name].macs)
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"]
    assert not found["notes"] and all(found["receptive_field"].values())


def test_half_precision_halves_the_stages_and_not_the_parameters():
    model = create("convnet", widths=(4,), convolutions=1, hidden=())
    full, half = summarize(model, (8, 8, 1)), summarize(model.clone(dtype=jnp.bfloat16), (8, 8, 1))
    assert half["parameter_bytes"] == full["parameter_bytes"]
    assert [stage["bytes"] for stage in half["stages"]] == [512, 128, 40]  # the logits are float32
    assert [stage["bytes"] for stage in full["stages"]] == [1024, 256, 40]


def test_a_name_has_the_input_of_its_paper():
    assert summarize("lenet5")["input"] == (1, *CLAIMS["lenet5"].input)
    for model, words in (("lenet6", "did you mean 'lenet5'"), ("jaxcnn.architectures.unet:UNet", "no paper states")):
        with pytest.raises(ValueError, match=words):
            summarize(model)
    with pytest.raises(ValueError, match="shape is None"):
        summarize(create("lenet5"))


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="32x32"):
        summarize(create("lenet5_common"), (8, 8, 1))
