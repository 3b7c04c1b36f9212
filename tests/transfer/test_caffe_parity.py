"""A .caffemodel that was never Caffe's own, read by our converter: RGB images here, BGR bytes less their mean there."""

import jax
import numpy as np
import pytest

from jaxcnn.architectures import create
from jaxcnn.training.state import abstract_variables
from jaxcnn.transfer.files import read_tensors
from jaxcnn.transfer.mapping import to_variables
from jaxcnn.transfer.sources import find_layout

torch = pytest.importorskip("torch")
networks = pytest.importorskip("caffe_networks")

pytestmark = pytest.mark.parity


@pytest.fixture
def written(caffe, fill, tmp_path):
    """written(net, old): draws all weights and writes them; old files have V1 layers and four axes in every blob."""

    def write(net, old):
        torch.manual_seed(0)
        message, file = caffe["NetParameter"](name="net"), tmp_path / "net.caffemodel"
        for name, layer in net.weighted.items():
            torch.nn.init.normal_(layer.weight, 0, (2 / layer.weight[0].numel()) ** 0.5)
            torch.nn.init.normal_(layer.bias, 0, 0.1)
            saved = (message.layers if old else message.layer).add(name=name)
            for array in (layer.weight, layer.bias):
                fill(saved.blobs.add(), array.detach().numpy(), old=old)
        file.write_bytes(message.SerializeToString())
        return file

    return write


def compare(net, file, name, stages, *, mean, **options):
    """stages: {ours: theirs}, None for the logits; mean: what the net's own files take off, BGR."""
    layout, entries, options = find_layout("caffe", name, options)
    tensors = read_tensors(file)
    model = create(name, num_classes=len(tensors[layout.head]), **options)
    prepared = layout.preprocessing
    variables = to_variables(entries, tensors, abstract_variables(model, (*prepared.image_size, 3)))
    images = np.random.default_rng(0).integers(0, 256, (2, *prepared.image_size, 3)).astype(np.float32)
    theirs = (images if mean is None else images[..., ::-1] - np.array(mean, np.float32)).transpose(0, 3, 1, 2)
    with torch.no_grad():
        blobs = net(torch.from_numpy(theirs.copy()))
    if mean is not None:
        images = (images / 255 - np.array(prepared.mean, np.float32)) / np.array(prepared.std, np.float32)
    logits, features = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
    for ours, blob in stages.items():
        found, expected = np.asarray(features[ours] if ours else logits), blobs[blob].numpy()
        expected = expected.transpose(0, 2, 3, 1).reshape(found.shape) if expected.ndim == 4 else expected
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max(), blob


def test_googlenet_with_its_heads(written):
    net = networks.googlenet()
    stages = {"conv1": "conv1/7x7_s2", "pool1": "pool1/3x3_s2", "conv2": "conv2/3x3", "pool2": "pool2/3x3_s2"}
    stages |= {f"inception_{row[0]}": f"inception_{row[0]}/output" for row in networks.MODULES}
    stages |= {"aux1": "loss1/classifier", "aux2": "loss2/classifier", "pool5": "pool5/7x7_s1"}
    compare(net, written(net, old=False), "googlenet", {**stages, None: "loss3/classifier"}, mean=(104, 117, 123))


def test_nin_cifar(written):
    net = networks.nin(networks.CIFAR, side=8)
    names = [name for name, *_ in net.steps[:-1]]
    compare(
        net, written(net, old=True), "nin_cifar", {**dict(zip(names, names, strict=True)), None: "pool3"}, mean=None
    )


def test_nin_imagenet(written):
    net = networks.nin(networks.IMAGENET, side=6)
    stages = {name.removesuffix("-1024"): name for name, *_ in net.steps[:-1]}
    compare(net, written(net, old=True), "nin_imagenet", {**stages, None: "pool4"}, mean=(104, 117, 123))


@pytest.mark.parametrize(
    ("name", "counts"), [("vgg_a", (1, 1, 2, 2, 2)), ("vgg_d", (2, 2, 3, 3, 3)), ("vgg_e", (2, 2, 4, 4, 4))]
)
def test_narrow_vgg(name, counts, written):
    widths, hidden = (4, 6, 8, 16, 512), 24
    net = networks.vgg(counts, widths, hidden)
    stages = {name: name for name, *_ in net.steps[:-1]}
    options = {"mean": (103.939, 116.779, 123.68), "widths": widths, "hidden": (hidden, hidden)}
    compare(net, written(net, old=True), name, {**stages, None: "fc8"}, **options)


def test_narrow_vgg_face(written):
    widths, hidden = (4, 6, 8, 16, 512), 24
    net = networks.vgg((2, 2, 3, 3, 3), widths, hidden, classes=7)
    options = {"mean": (93.5940, 104.7624, 129.1863), "widths": widths, "hidden": (hidden, hidden)}
    compare(net, written(net, old=True), "vgg_face", {"fc7": "fc7", None: "fc8"}, **options)
