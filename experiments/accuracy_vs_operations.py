"""How does test accuracy grow with the operations of a network?

Claim: Canziani et al. 2016 (arXiv:1605.07678), figure 2: over architectures, accuracy grows with operations along a
    curve that flattens, and parameters tell little about it.
Protocol: networks from 0.1 to 10 million multiply-adds, each at a rate that suits it; operations are counted
    from the jaxpr. `python -m jaxcnn frontier --workdir RUNS` draws error against operations.
Refuted if: the smallest network tests above the largest beyond what the seeds explain.
Cost: 30 runs of 10 seconds to 2 minutes on 2 CPU cores at the scale digits.
"""

from jaxcnn.sweeps import Claim, Study, is_large, scale_config

NETWORK = "network"
LARGE = ("alexnet", "nin_imagenet", "vgg_a", "vgg_d", "googlenet_bn", "resnet18", "resnet50", "densenet121")


def study(scale="digits"):
    """From a perceptron to a resnet."""
    config = scale_config(scale)
    config.model.options = {}
    options, rate = "model.options.", "optimizer.learning_rate"
    convnet = {"model.name": "convnet", f"{options}hidden": (64,)}
    levels = {
        "mlp": {"model.name": "mlp"},
        "convnet 8-16": {**convnet, f"{options}widths": (8, 16), f"{options}convolutions": 1},
        "convnet 16-32-64": {**convnet, f"{options}widths": (16, 32, 64), f"{options}convolutions": 1},
        "convnet 32-64-128": {**convnet, f"{options}widths": (32, 64, 128), rate: 0.02},
        "googlenet 1/8": {"model.name": "googlenet_small", f"{options}width": 0.125, f"{options}batch_norm": True},
        "resnet20": {"model.name": "resnet20", rate: 0.1},
    }
    if is_large(scale):
        levels = {name: {"model.name": name} for name in LARGE}
    smallest, largest = ("mlp", "resnet20") if "mlp" in levels else ("alexnet", "resnet50")
    return Study(
        base=config,
        factors={NETWORK: levels},
        seeds=(0, 1, 2, 3, 4),
        claims=(Claim("More operations test better: the two ends.", {NETWORK: largest}, {NETWORK: smallest}),),
    )
