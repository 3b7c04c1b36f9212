"""Do deeper plain networks train worse, and deeper residual ones better?

Claim: He et al. 2015, figures 1, 4 and 6: the training error of a 56-layer plain network on CIFAR-10 is above that of
    a 20-layer one, with shortcuts the order is reversed; on ImageNet plain-34 is above plain-18.
Protocol: plain20, resnet20, plain56 and resnet56 (--scale imagenet or folder: 18 and 34 layers), by one recipe; the
    training loss and accuracy of the last steps, and the test accuracy of the best held-out checkpoint.
Refuted if: the deeper plain network ends with a training loss below the shallower one's beyond what seeds explain.
Cost: 20 runs of 20 seconds to 2 minutes on 2 CPU cores at the scale digits.
"""

from jaxcnn.sweeps import Claim, Study, is_large, scale_config

NETWORK = "model.name"
PAPER = {"plain18": 27.94, "resnet18": 27.88, "plain34": 28.54, "resnet34": 25.03}


def study(scale="digits"):
    """Plain and residual, shallow and deep."""
    config = scale_config(scale)
    config.optimizer.learning_rate = 0.1
    config.model.options = {}
    if scale == "digits":
        config.batch_size, config.duration = 64, "6 epochs"
    shallow, deep = ("18", "34") if is_large(scale) else ("20", "56")
    names = [f"{kind}{depth}" for depth in (shallow, deep) for kind in ("plain", "resnet")]
    plain_shallow, residual_shallow, plain_deep, residual_deep = ({NETWORK: name} for name in names)
    paper = {
        f"name={name}": (PAPER[name], "top-1 error, %, 10 crops, He et al. table 2") for name in names if name in PAPER
    }
    return Study(
        base=config,
        factors={NETWORK: names},
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
