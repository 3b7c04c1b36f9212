"""Do elastic distortions bring MNIST's errors down to those of Simard et al. 2003?

Claim: Simard, Steinkraus and Platt 2003, section 5, MNIST test error by cross-entropy: a network of 800 hidden units
    1.6 %, with elastic distortions 0.7 %, a convolutional one with elastic distortions 0.4 %.
Protocol: `mlp` of 800 units, `simard_cnn` (5 and 50 maps, 100 hidden units, section 3.1); every image a new elastic
    distortion of sigma 4; the last step tested; images padded to 29x29.
Ours and not the paper's: all 60,000 training images, where it trains on 50,000 and chooses by 10,000; batches of 50 and
    Adam with cosine decay, where it has a rate of 0.005 times 0.3 every 100 passes and names no batch; 40 passes (30
    without distortions); weights that suit tanh, where it has a deviation of 0.05; tanh units, where it names none. The
    field's mean displacement is 2 pixels: a uniform field, smoothed by a Gaussian of sigma 4 whose sum is 1 and
    multiplied by the paper's alpha of 34, has 34 * sqrt(2 / 3) / (2 sqrt(pi) 4) = 1.96. The paper normalises the field
    in words that leave this open.
Sources: the paper's text (sections 2 to 5) was read in a copy without its table; the three errors are those of the list
    of results that is published with MNIST.
Refuted if: elastic distortions do not lower the error of the hidden units, or the convolutions do not lower it further,
    beyond what the seeds explain (paired t, Holm). A published error counts as missed where the 95 % interval of the
    mean is above it.
Cost: about 75 minutes of one core for 9 runs as populations, half of it the convolutions.
    TFDS_DATA_DIR=DIR python -m jaxcnn sweep experiments/elastic_mnist.py --workdir runs/elastic_mnist
"""

from jaxcnn.sweeps import Claim, Study, mnist_config

NETWORK = "network"
ELASTIC = (("elastic", 1.0, 2.0),)  # operation, share of the images, pixels


def study():
    """800 hidden units without and with distortions, and convolutions with them."""
    config = mnist_config("40 epochs", batch_size=50)
    config.data.image_size, config.data.fit = (29, 29), "pad"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 1e-3
    config.schedule.name = "cosine"
    hidden = {"model.name": "mlp", "model.options.hidden": (800,), "model.options.activation": "tanh"}
    networks = {
        "hidden": {**hidden, "duration": "30 epochs"},
        "hidden, elastic": {**hidden, "augment.operations": ELASTIC},
        "convolutions, elastic": {"model.name": "simard_cnn", "augment.operations": ELASTIC},
    }
    plain, elastic, convolutions = ({NETWORK: name} for name in networks)
    return Study(
        base=config,
        factors={NETWORK: networks},
        seeds=(0, 1, 2),
        baseline=elastic,
        claims=(
            Claim("Elastic distortions raise the test accuracy of hidden units.", elastic, plain),
            Claim("With them convolutions test better than hidden units.", convolutions, elastic),
        ),
    )
