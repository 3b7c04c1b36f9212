"""How does test accuracy grow with the operations of a network?

Claim: Canziani et al. 2016 (arXiv:1605.07678), figure 2: over architectures, accuracy grows with operations along a
    curve that flattens, and parameters tell little about it.
Protocol: networks from 0.1 to 10 million multiply-adds, each at a rate that suits it; operations are counted
    from the jaxpr. frontier.png has error against operations, areas for parameters, a point the mean over the seeds;
    Spearman's rank correlation over the networks says how far operations, or parameters, order them.
Refuted if: the smallest network tests above the largest beyond what the seeds explain.
Cost: 30 runs of 10 seconds to 2 minutes on 2 CPU cores at the scale digits; decided after 44, 28 minutes of one core.
"""

import numpy as np
from scipy.stats import spearmanr

from jaxcnn.architectures import CLAIMS
from jaxcnn.sweeps import Claim, Study, is_large, scale_config
from jaxcnn.visualize.frontier import draw_frontier, run_points

NETWORK = "network"
LARGE = ("alexnet", "nin_imagenet", "vgg_a", "vgg_d")
NORMALISED = ("googlenet_bn", "resnet18", "resnet50", "densenet121")


def study(scale="digits"):
    """From a perceptron to a resnet; on photographs from AlexNet to VGG-16, at their papers' sizes."""
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
        config.data.resize = 256
        levels = {name: {"model.name": name, rate: 0.01} for name in LARGE}
        levels |= {name: {"model.name": name, rate: 0.1} for name in NORMALISED}
        for name, values in levels.items():
            values["data.image_size"] = CLAIMS[name].input[:2]
    smallest, largest = ("mlp", "resnet20") if "mlp" in levels else ("alexnet", "vgg_d")
    return Study(
        base=config,
        factors={NETWORK: levels},
        seeds=(0, 1, 2, 3, 4),
        claims=(Claim("More operations test better: the two ends.", {NETWORK: largest}, {NETWORK: smallest}),),
    )


def analyse(study, workdir):
    """Draws error against operations; yields what orders the networks."""
    points = []
    for cell in study.cells():
        runs = [run for run in study.runs() if run.cell == cell]
        found = run_points(workdir / run.id for run in runs)
        name, error = runs[0].levels[NETWORK], np.mean([point.error for point in found])
        points.append(found[0]._replace(name=name, error=error))
    title = "Test error, mean over the seeds, against operations, area for parameters"
    draw_frontier(points, workdir / "frontier.png", title=title)
    for quantity in ("macs", "parameters"):
        rank = spearmanr([getattr(point, quantity) for point in points], [-point.error for point in points]).statistic
        yield f"Spearman's rank correlation of test accuracy with {quantity}: {rank:.2f} over {len(points)} networks"
