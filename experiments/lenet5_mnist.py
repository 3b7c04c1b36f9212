"""Does LeNet-5 of 1998 reach its published errors on MNIST, without and with distortions?

Claim: LeCun, Bottou, Bengio and Haffner 1998, section III.B: 0.95 % test error after 20 passes, 0.8 % where the
    training set is distorted (translations, scaling, squeezing, horizontal shearing).
Protocol: the recipe of configs/mnist_lenet5_1998.py (the printed network, RBF outputs and their loss, pixels from -0.1
    to 1.175) for the paper's 20 passes over all 60,000 training images, the last step tested; without distortions, and
    with a random affine one of every image (`affine` at half its ranges: turned, sheared, scaled and moved).
Ours and not the paper's: SGD with momentum on batches of 32 where the paper takes single images and second derivatives;
    new distortions in every pass where the paper adds 540,000 fixed ones; ours turn the images as well.
Sources: both errors are in the list of results that is published with MNIST; 20 passes, rates and pixels are those of
    the project's reference. From memory: the section, the distortions and their number.
Refuted if: distortions do not lower the error beyond what the seeds explain (paired t). A published error counts as
    missed where the 95 % interval of the mean is above it.
Cost: 10 runs in 51 minutes of one core, five in one program (--runner population).
    TFDS_DATA_DIR=DIR python -m jaxcnn sweep experiments/lenet5_mnist.py --workdir runs/lenet5_mnist
"""

from jaxcnn.sweeps import Claim, Study, mnist_config
from jaxcnn.training.config import load_config

DISTORTIONS = "distortions"


def study():
    """Without and with distortions."""
    config, whole = load_config(["--config=mnist_lenet5_1998"]), mnist_config("20 epochs", batch_size=32)
    for split in ("train", "validation", "test"):
        config.data[split] = whole.data[split]
    config.duration, config.evaluation, config.checkpoint = whole.duration, whole.evaluation, whole.checkpoint
    levels = {"none": {}, "affine": {"augment.operations": (("affine", 1.0, 0.5),)}}
    none, affine = ({DISTORTIONS: name} for name in levels)
    claim = Claim("Distortions raise test accuracy.", affine, none)
    return Study(base=config, factors={DISTORTIONS: levels}, seeds=(0, 1, 2, 3, 4), baseline=none, claims=(claim,))
