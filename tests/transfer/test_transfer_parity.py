"""Converted networks give the logits and features of definitions in torch.nn; export gives the file back."""

import copy

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxcnn.architectures import create
from jaxcnn.training.state import abstract_variables
from jaxcnn.transfer.files import read_tensors
from jaxcnn.transfer.mapping import to_tensors, to_variables
from jaxcnn.transfer.sources import find_layout

torch = pytest.importorskip("torch")
networks = pytest.importorskip("torch_networks")
inceptions = pytest.importorskip("torch_inceptions")

pytestmark = pytest.mark.parity


def _close(found, expected, tolerance=1e-4):
    """Relative to the largest number of the array."""
    expected = expected.detach().numpy()
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected
    found = np.asarray(found)
    assert found.shape == expected.shape
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error < tolerance, error


def _images(side, count=4):
    return np.random.default_rng(0).normal(size=(count, side, side, 3)).astype(np.float32)


def _converted(network, source, name, side, tmp_path, **options):
    """(model, variables) of a torch network that went through a file; the way back gives the same bits."""
    file = tmp_path / "weights.safetensors"
    save_file({k: v.numpy() for k, v in network.state_dict().items()}, file)
    layout, entries, options = find_layout(source, name, options)
    tensors = layout.prepare(read_tensors(file))
    model = create(layout.model or name, num_classes=len(tensors[layout.head]), **options)
    variables = to_variables(entries, tensors, abstract_variables(model, (side, side, 3)))
    back = to_tensors(entries, variables)
    completed = {k: torch.from_numpy(v.copy()) for k, v in layout.complete(back).items()}
    copy.deepcopy(network).load_state_dict(completed)  # strict: their network takes it
    original = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    assert back.keys() == original.keys()
    for key, array in original.items():
        np.testing.assert_array_equal(back[key], array, err_msg=key, strict=True)
    return model, variables


def _compare(network, source, name, side, tmp_path, *, train=True, count=4, **options):
    network = networks.randomize(network)
    model, variables = _converted(network, source, name, side, tmp_path, **options)
    images = _images(side, count)
    for training in (False, True) if train else (False,):
        network.train(training)
        with torch.no_grad():
            expected, stages = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        apply = jax.jit(lambda v, x, train=training: model.apply(v, x, train=train, mutable=["batch_stats"])[0])
        logits, features = apply(variables, images)
        assert len(stages) >= 3
        for stage, value in stages.items():
            _close(features[stage], value)
        _close(logits, expected)


@pytest.mark.parametrize(
    ("name", "blocks", "bottleneck"),
    [("resnet18", (2, 2, 2, 2), False), ("resnet50_v1_5", (3, 4, 6, 3), True)],
)
def test_resnet(name, blocks, bottleneck, tmp_path):
    _compare(networks.ResNet(blocks, bottleneck), "torchvision", name, 64, tmp_path)


def test_resnet_of_the_first_version(tmp_path):
    _compare(networks.ResNet((3, 4, 6, 3), True, first_1x1=True), "torchvision", "resnet50", 64, tmp_path, train=False)


def test_vgg(tmp_path):
    _compare(networks.VGG((1, 1, 2, 2, 2)), "torchvision", "vgg_a", 224, tmp_path, train=False, count=1)


def test_vgg_with_batch_norm(tmp_path):
    network = networks.VGG((1, 1, 2, 2, 2), batch_norm=True)
    _compare(network, "torchvision", "vgg_a", 224, tmp_path, train=False, count=1, batch_norm=True)


def test_alexnet(tmp_path):
    _compare(networks.AlexNet(), "torchvision", "alexnet_owt", 224, tmp_path, train=False, count=2)


def test_densenet(tmp_path):
    _compare(networks.DenseNet((6, 12, 24, 16)), "torchvision", "densenet121", 64, tmp_path)


def test_densenet_of_cifar(tmp_path):
    network = networks.DenseNet((16, 16, 16), growth=12, small=True)
    _compare(network, "torchvision", "densenet_bc_100_12", 32, tmp_path, train=False)


def test_googlenet(tmp_path):
    options = {"dropout_rate": 0.0, "auxiliary_dropout_rate": 0.0}
    _compare(inceptions.GoogLeNet(), "torchvision", "googlenet_bn", 128, tmp_path, **options)


def test_inception_v3_with_its_head(tmp_path):
    _compare(inceptions.InceptionV3(), "torchvision", "inception_v3", 299, tmp_path, train=False, count=1)


def test_inception_v3(tmp_path):
    options = {"dropout_rate": 0.0, "auxiliary": False}
    _compare(inceptions.InceptionV3(auxiliary=False), "torchvision", "inception_v3", 139, tmp_path, **options)


def test_inception_v4(tmp_path):
    _compare(inceptions.InceptionV4(), "timm", "inception_v4", 139, tmp_path, dropout_rate=0.0)


def test_inception_resnet_v2(tmp_path):
    _compare(inceptions.InceptionResNetV2(), "timm", "inception_resnet_v2", 139, tmp_path, dropout_rate=0.0)
