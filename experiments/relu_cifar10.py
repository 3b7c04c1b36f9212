"""Does relu reach 25 % training error on CIFAR-10 six times sooner than tanh?

Claim: Krizhevsky et al. 2012, figure 1: a network of four layers reaches 25 % training error on CIFAR-10 six times
    sooner with relu than with tanh, each at a rate that was chosen to make training as quick as possible, without
    regularisation.
Protocol: three convolutions of 5x5 (32, 32, 64 maps), each with a max pooling of 3x3 at stride 2, and a full
    connection; all 50,000 training images, no augmentation, no decay; SGD of batches of 128 with momentum 0.9 at a
    constant rate; relu at 0.01, tanh at 0.02. Training error is that of the last 50 steps.
Ours and not the paper's: its caption, which was read word for word in copies, prints no widths and no rates; these are
    those of cuda-convnet's small network, and the rates were not searched. A run of relu has 15 passes and one of tanh
    45: a run that never gets there has no value and says so.
Refuted if: tanh needs fewer steps than relu beyond what the seeds explain (paired t of the log of the ratio). Six
    counts as missed where the 95 % interval of the ratio lies below it.
Cost: on one core about 25 minutes a run of relu and 75 of tanh, 3 seeds each (estimated).
    TFDS_DATA_DIR=DIR python -m jaxcnn sweep experiments/relu_cifar10.py --workdir runs/relu_cifar10
"""

from jaxcnn import default_config
from jaxcnn.sweeps import Claim, Study, steps_to_training_error

UNITS = "units"


def study():
    """Relu and tanh."""
    config = default_config()
    config.data.name = "tfds:cifar10"
    config.data.train, config.data.validation, config.data.test = "train", "test", "test"  # the last step is tested
    config.batch_size = 128
    config.evaluation.every, config.checkpoint.every = "100%", "10%"
    config.model.name = "convnet"
    config.model.options.update({"widths": (32, 32, 64), "convolutions": 1, "hidden": (), "kernel_size": 5})
    config.model.options.pooling = "max_overlapping"
    units = {
        "relu": {"model.options.activation": "relu", "optimizer.learning_rate": 0.01, "duration": "15 epochs"},
        "tanh": {"model.options.activation": "tanh", "optimizer.learning_rate": 0.02, "duration": "45 epochs"},
    }
    text = "Tanh needs more steps than relu to 25 % training error."
    return Study(
        base=config,
        factors={UNITS: units},
        seeds=(0, 1, 2),
        claims=(Claim(text, {UNITS: "tanh"}, {UNITS: "relu"}, "steps_to_25"),),
        measures={"steps_to_25": steps_to_training_error(0.25)},
    )
