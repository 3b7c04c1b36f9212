"""Do deeper plain networks train worse, and deeper residual ones better?

Claim: He et al. 2015, figures 1, 4 and 6: the training error of a 56-layer plain network on CIFAR-10 is above that of
    a 20-layer one, with shortcuts the order is reversed; on ImageNet plain-34 is above plain-18.
Protocol: plain20, resnet20, plain56 and resnet56 (--scale imagenet or folder: 18 and 34 layers), by one recipe; the
    training loss and accuracy of the last steps, and the test accuracy of the best held-out checkpoint.
Refuted if: the deeper plain network ends with a training loss below the shallower one's beyond what seeds explain.
Cost: 20 runs of 20 seconds to 2 minutes on 2 CPU cores at the scale digits.
"""

import re

import jax
import numpy as np

from jaxcnn.evaluation.trained import Trained
from jaxcnn.operators import BatchNorm
from jaxcnn.sweeps import Claim, Study, is_large, scale_config
from jaxcnn.visualize.figure import new_figure, plain_axes, save_figure, style

NETWORK = "network"
PAPER = {"plain18": 27.94, "resnet18": 27.88, "plain34": 28.54, "resnet34": 25.03}


def study(scale="digits"):
    """Plain and residual, shallow and deep."""
    config = scale_config(scale)
    config.optimizer.learning_rate = 0.1
    config.model.options = {}
    shallow, deep = ("18", "34") if is_large(scale) else ("20", "56")
    names = [f"{kind}{depth}" for depth in (shallow, deep) for kind in ("plain", "resnet")]
    plain_shallow, residual_shallow, plain_deep, residual_deep = ({NETWORK: name} for name in names)
    paper = {
        f"{NETWORK}={name}": (PAPER[name], "top-1 error, %, 10 crops, He et al. table 2")
        for name in names
        if name in PAPER
    }
    return Study(
        base=config,
        factors={NETWORK: {name: {"model.name": name} for name in names}},
        seeds=(0, 1, 2, 3, 4),
        baseline=plain_shallow,
        claims=(
            Claim(
                "The deeper plain network ends with a higher training loss.", plain_deep, plain_shallow, "train_loss"
            ),
            Claim("At the larger depth the residual network tests better.", residual_deep, plain_deep),
            Claim(
                "The deeper residual network ends with a lower training loss.",
                residual_shallow,
                residual_deep,
                "train_loss",
            ),
        ),
        paper=paper if scale == "imagenet" else {},
    )


def analyse(study, workdir):
    """Draws the layers' responses of every network, the mean over its seeds; yields their mean over the layers."""
    figure = new_figure(8, 4)
    axes = figure.subplots()
    for number, cell in enumerate(study.cells()):
        found = np.mean([responses(workdir / run.id) for run in study.runs() if run.cell == cell], axis=0)
        axes.plot(range(1, len(found) + 1), found, **style(number), label=f"{cell}, mean {found.mean():.2f}")
        yield f"{cell}: mean standard deviation of the {len(found)} layers' responses {found.mean():.3f}"
    plain_axes(axes, xlabel="layer with batch norm, from the image on", ylabel="standard deviation of its response")
    axes.legend(frameon=False, fontsize=9)
    save_figure(figure, workdir / "responses.png")


def responses(folder, images=200):
    """The standard deviation of every batch norm's output on the first test images, (layers,)."""
    network = Trained(folder)
    records = network.open("test").records
    batch = records.read(range(images))["image"]

    @jax.jit
    def deviations(variables, batch):
        _, state = network.model.apply(
            variables,
            network.normalise(batch),
            train=False,
            capture_intermediates=lambda module, _: isinstance(module, BatchNorm),
            mutable=["intermediates"],
        )
        return {jax.tree_util.keystr(path): x.std() for path, x in jax.tree.leaves_with_path(state["intermediates"])}

    found = deviations(network.variables, batch)
    return np.array([found[name] for name in sorted(found, key=_numbered)])


def _numbered(name):
    """stage1_block10 after stage1_block2."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
