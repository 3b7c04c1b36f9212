"""Which conventions of papers, Caffe, torch and TensorFlow change what a network learns, and by how much at most?

Claim: none that was published. Libraries compute layers of one name in different ways, and a network that is carried
    from one to another meets all of them: the padding of a convolution at stride 2, the place of the rate in momentum,
    epsilon, momentum and Bessel's correction of batch norm, the scale of response normalisation, average pooling at a
    border, weight decay of biases and of batch norm.
Protocol: one small network (`_conventions.py`), whose every convention is torch's; then each changed alone to that of
    another, and at last all that Caffe, TensorFlow (Keras) or the papers do. SGD with momentum 0.9, whose rate drops at
    half and three quarters of the run, decay 5e-4. Each claim has a margin: half a point of test accuracy, with the
    embedded digits one point, with MNIST a fifth of one.
Refuted if: a difference from torch's is beyond what the seeds explain (paired t, Holm); no difference that matters: the
    seeds show that it lies within the margin (two one-sided tests).
Cost: 131 runs decide all at the scale digits, 24 minutes of one core as populations; of cifar10-subset a run takes
    about 2 minutes of 2 cores (estimated).
    python -m jaxcnn sweep experiments/conventions.py --workdir runs/conventions --until decided --budget 2h
"""

import pathlib
import sys

from jaxcnn.sweeps import Claim, Study, scale_config, scale_margin

sys.path.append(str(pathlib.Path(__file__).parent))  # where runs find _conventions, wherever they are started

CONVENTION = "convention"
PADDING = {"model.options.padding": "SAME"}
RATE_INSIDE = {"optimizer.momentum_convention": "caffe"}
EPSILON = {"model.options.epsilon": 1e-3}
KEPT = {"model.options.momentum": 0.99}
BIASED = {"model.options.bessel": False}
SUM = {"model.options.divide_by_size": False, "model.options.k": 2.0}
EXISTING = {"model.options.count_padding": False}
KERNELS = {"optimizer.decay_mask": "kernels"}
LEVELS = {  # name: (what changes, the claim)
    "torch": ({}, ""),
    "padding": (PADDING, "Padding (0, 1) at stride 2, TensorFlow's, tests better than (1, 1)."),
    "momentum": (RATE_INSIDE, "The rate inside the momentum, Caffe's and AlexNet's, tests better than outside."),
    "epsilon": (EPSILON, "An epsilon of 1e-3, TensorFlow's, tests better than 1e-5."),
    "running": (KEPT, "Running statistics that keep 0.99, Keras's, test better than 0.9."),
    "bessel": (BIASED, "A biased running variance, Flax's, tests better than an unbiased one."),
    "response": (SUM, "Response normalisation by the sum with k = 2, as printed, tests better than by the mean."),
    "border": (EXISTING, "Average pooling over the pixels that exist, TensorFlow's, tests better than with padding."),
    "biases": (KERNELS, "No decay of biases and batch norm, Caffe's and Keras's, tests better than decay of all."),
    "caffe": (RATE_INSIDE | KERNELS, "All that Caffe does tests better than all that torch does."),
    "tensorflow": (
        PADDING | EPSILON | KEPT | EXISTING | KERNELS | {"model.options.divide_by_size": False},
        "All that TensorFlow does tests better than all that torch does.",
    ),
    "papers": (RATE_INSIDE | SUM, "All that the papers print tests better than all that torch does."),
}


def study(scale="digits"):
    """Torch's conventions, each changed alone, and those of the others together."""
    config = scale_config(scale)
    config.model.name, config.model.options = "_conventions:Network", {}
    config.schedule.name, config.schedule.boundaries = "step", ("50%", "75%")
    config.optimizer.weight_decay = 5e-4
    torch, margin = {CONVENTION: "torch"}, scale_margin(scale)
    return Study(
        base=config,
        factors={CONVENTION: {name: changes for name, (changes, _) in LEVELS.items()}},
        seeds=(0, 1, 2, 3, 4),
        baseline=torch,
        claims=tuple(
            Claim(text, {CONVENTION: name}, torch, margin=margin) for name, (_, text) in LEVELS.items() if text
        ),
    )
