"""A mapping uses every tensor once and fills every parameter, or says on both sides what does not fit."""

import jax
import ml_dtypes
import numpy as np
import pytest

from jaxcnn.architectures import create
from jaxcnn.errors import InputError
from jaxcnn.training.state import abstract_variables
from jaxcnn.transfer import mapping, torchvision
from jaxcnn.transfer.sources import NAMES, SOURCES, find_layout, our_name


@pytest.fixture(scope="module")
def tiny():
    """(mapping, network) of the smallest CIFAR ResNet, 8 layers."""
    from jaxcnn.architectures.resnet_cifar import ResNetCIFAR

    like = abstract_variables(ResNetCIFAR(depth=8), (32, 32, 3))
    return torchvision.resnet_cifar_entries(8, True), like


@pytest.fixture
def tensors(tiny):
    """Random arrays as torch would have them for it."""
    rng = np.random.default_rng(0)
    entries, like = tiny
    filled = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), like)
    return mapping.to_tensors(entries, filled)


def test_there_and_back(tiny, tensors):
    entries, like = tiny
    variables = mapping.to_variables(entries, tensors, like)
    assert jax.tree.map(lambda x: x.shape, variables) == jax.tree.map(lambda x: x.shape, like)
    assert all(x.dtype == np.float32 for x in jax.tree.leaves(variables))
    back = mapping.to_tensors(entries, variables)
    assert back.keys() == tensors.keys() and all(np.array_equal(back[k], tensors[k]) for k in back)
    kernel = variables["params"]["stage2_block1"]["conv1"]["kernel"]
    assert kernel[1, 2, 3, 4] == tensors["layer2.0.conv1.weight"][4, 3, 1, 2]
    assert variables["params"]["fc"]["kernel"][5, 6] == tensors["linear.weight"][6, 5]
    pairs = {"weight": ("params", "scale"), "bias": ("params", "bias")}
    pairs |= {"running_mean": ("batch_stats", "mean"), "running_var": ("batch_stats", "var")}
    for theirs, (kind, ours) in pairs.items():
        assert np.array_equal(variables[kind]["norm1"][ours], tensors[f"bn1.{theirs}"])


def test_a_counter_of_updates_is_passed_over(tiny, tensors):
    entries, like = tiny
    mapping.to_variables(entries, {**tensors, "bn1.num_batches_tracked": np.int64(7)}, like)


def test_a_mismatch_lists_both_sides(tiny, tensors):
    entries, like = tiny
    tensors["layer9.conv.weight"] = tensors.pop("layer1.0.conv1.weight")
    tensors["linear.weight"] = tensors["linear.weight"][:, :-1]
    tensors["bn1.bias"] = tensors["bn1.bias"].astype(np.int32)
    with pytest.raises(InputError) as error:
        mapping.to_variables(entries, tensors, like, where="f.safetensors as resnet8")
    text = str(error.value)
    assert text.startswith("f.safetensors as resnet8 does not fit.")
    assert "not in the file: layer1.0.conv1.weight." in text and "Only in the file: layer9.conv.weight." in text
    assert "linear.weight (10, 63) there, params/fc/kernel (64, 10) here" in text and "bn1.bias int32" in text


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float64])
def test_every_floating_point_is_taken(tiny, tensors, dtype):
    entries, like = tiny
    short = {name: array.astype(dtype) for name, array in tensors.items()}
    variables = mapping.to_variables(entries, short, like)
    bias = variables["params"]["fc"]["bias"]
    assert bias.dtype == np.float32
    np.testing.assert_array_equal(bias, short["linear.bias"].astype(np.float32))


def test_numbers_that_are_not_finite_are_named(tiny, tensors):
    entries, like = tiny
    tensors["bn1.running_var"] = tensors["bn1.running_var"] * np.nan
    tensors["linear.bias"] = tensors["linear.bias"].astype(np.float64) * 1e300  # finite there
    with pytest.raises(InputError, match=r"^f does not fit\. Not finite: bn1\.running_var, linear\.bias\.$"):
        mapping.to_variables(entries, tensors, like, where="f")


def test_every_parameter_must_be_filled_once(tiny, tensors):
    entries, like = tiny
    fewer = tuple(entry for entry in entries if entry.name != "bn1.bias")
    with pytest.raises(InputError, match=r"Only in the file: bn1\.bias\. Only in the network: params/norm1/bias"):
        mapping.to_variables(fewer, tensors, like)
    with pytest.raises(InputError, match=r"Only in the network: params/norm1/bias"):
        mapping.to_tensors(fewer, mapping.to_variables(entries, tensors, like))
    with pytest.raises(InputError, match=r"Used twice: bn1\.bias, params/norm1/bias"):
        mapping.to_variables((*entries, *(e for e in entries if e.name == "bn1.bias")), tensors, like)


def test_the_flatten_order():
    rng = np.random.default_rng(1)
    image, weight = rng.normal(size=(5, 2, 3)), rng.normal(size=(4, 5 * 2 * 3))  # (c, h, w)
    transform = mapping.flatten(5, 2, 3)
    ours = transform.forward(weight, (30, 4))
    np.testing.assert_allclose(image.transpose(1, 2, 0).ravel() @ ours, weight @ image.ravel())
    np.testing.assert_array_equal(transform.forward(weight, (2, 3, 5, 4)).reshape(30, 4), ours)
    np.testing.assert_array_equal(transform.backward(ours), weight)


def test_grouped_and_bgr_kernels():
    weight = np.random.default_rng(2).normal(size=(8, 3, 5, 7))  # 8 outputs, 3 inputs a group
    assert mapping.KERNEL.forward(weight, None)[1, 2, 0, 3] == weight[3, 0, 1, 2]
    assert mapping.BGR_KERNEL.forward(weight, None)[1, 2, 0, 3] == weight[3, 2, 1, 2]
    for transform in (mapping.KERNEL, mapping.BGR_KERNEL):
        np.testing.assert_array_equal(transform.backward(transform.forward(weight, None)), weight)


SMALL = [
    ("torchvision", "resnet18", {}),
    ("torchvision", "resnet18", {"shortcut": "C"}),
    ("torchvision", "resnet20", {"shortcut": "B"}),
    ("torchvision", "plain20", {}),
    ("torchvision", "vgg_a", {}),
    ("torchvision", "vgg_a", {"batch_norm": True}),
    ("torchvision", "alexnet_owt", {}),
    ("torchvision", "resnet50", {}),
    ("torchvision", "densenet_40_12", {}),
    ("torchvision", "densenet_bc_100_12", {}),
    ("timm", "vgg_a", {"batch_norm": True}),
    ("torchvision", "googlenet_bn", {}),
    ("torchvision", "googlenet_bn", {"auxiliary": False}),
    ("caffe", "lenet_caffe", {}),
    ("caffe", "googlenet", {}),
    ("caffe", "nin_cifar", {}),
    ("caffe", "nin_imagenet", {}),
    ("caffe", "vgg_d", {}),
    ("caffe", "vgg_face", {}),
]
COVERED = {(source, name) for source, name, _ in SMALL}
LARGE = [(source, name, {}) for source, names in SOURCES.items() for name in names if (source, name) not in COVERED]
LARGE += [("torchvision", "vgg_d", {"batch_norm": True}), ("torchvision", "inception_v3", {"auxiliary": False})]


@pytest.mark.parametrize(
    ("source", "name", "options"), SMALL + [pytest.param(*row, marks=pytest.mark.long) for row in LARGE]
)
def test_a_layout_names_every_parameter_once(source, name, options):
    layout, entries, options = find_layout(source, name, options)
    model, prepared = create(layout.model or name, **options), layout.preprocessing
    like = abstract_variables(model, (*prepared.image_size, prepared.channels))
    tensors = mapping.to_tensors(entries, jax.tree.map(lambda x: np.broadcast_to(np.float32(1), x.shape), like))
    assert len(tensors) == len(entries) and len(tensors[layout.head]) == model.num_classes


def test_what_has_no_layout():
    with pytest.raises(InputError, match=r"timm has no layout for 'vgg_c' .*--from TABLE\.json"):
        find_layout("timm", "vgg_c", {})
    with pytest.raises(InputError, match=r"unknown source of weights 'torchvison'; did you mean 'torchvision'"):
        find_layout("torchvison", "resnet18", {})


def test_the_names_of_the_libraries():
    assert our_name("torchvision", "vgg16_bn") == ("vgg_d", {"batch_norm": True})
    assert our_name("torchvision", "resnet50") == our_name("timm", "resnet50") == ("resnet50_v1_5", {})
    assert our_name("torchvision", "resnet50_v1") == ("resnet50", {})
    assert our_name("torchvision", "densenet121") == ("densenet121", {})
    for source, names in NAMES.items():
        for ours, _ in names.values():
            assert ours in SOURCES[source]


def test_both_versions_of_a_bottleneck_have_the_same_names_and_each_names_the_other():
    first, later = (find_layout("torchvision", name, {}) for name in ("resnet50", "resnet50_v1_5"))
    assert first[1] == later[1]
    assert "first 1x1" in first[0].note and "--architecture resnet50_v1_5" in first[0].note
    assert "in the 3x3" in later[0].note and "--architecture resnet50_v1." in later[0].note
    assert not find_layout("torchvision", "resnet18", {})[0].note


def test_convolutions_of_one_pixel_are_full_connections():
    weight = np.random.default_rng(3).normal(size=(4, 6, 1, 1))
    np.testing.assert_array_equal(mapping.POINTWISE.forward(weight, (6, 4)), weight[:, :, 0, 0].T)
    np.testing.assert_array_equal(mapping.POINTWISE.backward(weight[:, :, 0, 0].T), weight)
