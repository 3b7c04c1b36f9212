"""The published results that are met at the papers' own scale: which study meets each, and what of it is read.

A number stands in the ledger (`jaxcnn.analysis.ledger`) with its source; what a figure only shows is a claim of the
study. `jaxcnn.sweeps.reproduction` reads runs and records.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from jaxcnn.analysis.ledger import LEDGER, Entry


@dataclasses.dataclass(frozen=True)
class Paper:
    """One published result.

    Attributes:
      name: under which the verb `reproduce` knows it.
      protocol: in one line, with what is not the paper's.
      study: the name of a file in experiments/, or a path.
      seeds: how many runs of each cell meet it, the first ones of the study, or the draws of a script; 0 of what is
        computed without a seed.
      minutes: of one core, for all runs of the study that it needs; estimated unless `measured`.
      entry: the name of its number in the ledger; empty where no number is printed.
      source: paper and figure, of a result without a number.
      data: the data set, of a result without a number.
      claim: the text of the study's claim that says it, whose estimate is compared with the number where there is one.
      alike: whether it is met by no difference that matters.
      difference: the name among the comparisons of summary.json, which a script or an analysis writes, that says the
        claim, where no claim of the study does.
      where: {column: value} of the rows of the table that are its runs.
      column: of the table, which holds its measure.
      table: the table's file in a record.
      percent: how a value becomes the printed unit: "wrong" 100 (1 - value), "share" 100 value, "" as it is.
      record: the folder in experiments/results; empty for the study's name.
      scale: of the study; empty for its own.
      script: arguments of a study that is a script of its own, which `reproduce --run` does not start.
      measured: whether `minutes` was.
    """

    name: str
    protocol: str
    study: str
    seeds: int
    minutes: float
    entry: str = ""
    source: str = ""
    data: str = ""
    claim: str = ""
    alike: bool = False
    difference: str = ""
    where: Mapping = dataclasses.field(default_factory=dict)
    column: str = "test_top1"
    table: str = "results.csv"
    percent: str = ""
    record: str = ""
    scale: str = ""
    script: str = ""
    measured: bool = False

    @property
    def number(self) -> Entry | None:
        """Its Entry of the ledger; None where no number is printed."""
        return next(entry for entry in LEDGER if entry.name == self.entry) if self.entry else None

    @property
    def runs(self) -> str:
        """The name of the folder of its study's runs."""
        return pathlib.Path(self.study).stem

    @property
    def folder(self) -> str:
        """The name of its record's folder."""
        return self.record or self.runs


def _error(name: str, entry: str, study: str, cell: str, protocol: str, **options) -> Paper:
    """A published test error, of one cell of a study."""
    return Paper(name, protocol, study, entry=entry, where={"cell": cell}, percent="wrong", **options)


def _claim(name: str, claim: str, study: str, protocol: str, **options) -> Paper:
    """What a figure shows, as a claim of a study."""
    return Paper(name, protocol, study, claim=claim, **options)


_MNIST = "error/MNIST test"
_ADAM: dict[str, Any] = {"data": "MNIST", "seeds": 3, "minutes": 48, "measured": True}
_FIGURE_1, _FIGURE_2 = (f"Kingma and Ba 2014 (arXiv:1412.6980), figure {number}" for number in (1, 2))
_BATCH_NORM: dict[str, Any] = {"data": "MNIST", "seeds": 5, "minutes": 15, "measured": True}
_IOFFE = "Ioffe and Szegedy 2015 (arXiv:1502.03167), figure 1(a)"
_ORL: dict[str, Any] = {"scale": "", "percent": "share", "column": "error", "seeds": 20, "measured": True}
_ORL_SCRIPT = "--data folder:FACES --workdir runs/orl --output experiments/results/orl"

PAPERS = (
    Paper(
        "pca",
        "30 principal components of 58,800 images; no seed",
        "mnist_autoencoder",
        entry="autoencoder_mlp/pca/error",
        scale="mnist",
        where={"method": "principal components"},
        column="error",
        table="components.csv",
        seeds=0,
        minutes=1,
        measured=True,
    ),
    Paper(
        "deep-autoencoder",
        "784-1000-500-250-30; relu, Adam and distorted images, without pretraining",
        "mnist_autoencoder",
        entry="autoencoder_mlp/deep_autoencoder/error",
        scale="mnist",
        where={"cell": "network=deep"},
        column="test_sse",
        seeds=5,
        minutes=87,
        measured=True,
    ),
    Paper(
        "logistic-pca",
        "a linear code of 30 under logistic pixels, by Adam",
        "mnist_autoencoder",
        entry="autoencoder_mlp/logistic_pca/error",
        scale="mnist",
        where={"cell": "network=shallow"},
        column="test_sse",
        seeds=5,
        minutes=2,
        measured=True,
    ),
    Paper(
        "orl-eigenfaces",
        "nearest mean of a person by 40 components, one of six variants: the abstract names none",
        "orl",
        entry="som_cnn/error/ORL test/5 images a person to learn from; eigenfaces in its place",
        where={"method": "eigenfaces, 40, one a person"},
        minutes=1,
        script=_ORL_SCRIPT,
        **_ORL,
    ),
    Paper(
        "orl-network",
        "som_cnn without its self-organising map, softmax, smoothed labels, images moved by up to 8 pixels",
        "orl",
        entry="som_cnn/error/ORL test/5 images a person to learn from; a self-organising map before it",
        where={"method": "som_cnn, its last step"},
        minutes=11,
        script=f"{_ORL_SCRIPT} --networks",
        **_ORL,
    ),
    Paper(
        "bm3d-denoising",
        "a U-Net in place of DnCNN, 8,000 steps of 4 pieces: a hundredth of the paper's images",
        "denoising",
        entry="dncnn/PSNR/Set12/BM3D, sigma 25",
        where={"method": "residual=True"},
        column="psnr",
        table="set12.csv",
        seeds=3,
        minutes=110,
        measured=True,
    ),
    Paper(
        "dncnn-denoising",
        "a U-Net in place of DnCNN, 8,000 steps of 4 pieces: a hundredth of the paper's images",
        "denoising",
        entry="dncnn/PSNR/Set12/DnCNN-S, sigma 25",
        where={"method": "residual=True"},
        column="psnr",
        table="set12.csv",
        seeds=3,
        minutes=110,
        measured=True,
    ),
    _claim(
        "adam-logistic-adagrad",
        "Of logistic regression AdaGrad ends with a higher training loss than Adam.",
        "adam_mnist",
        "45 passes of 128; rates from two or three each",
        source=_FIGURE_1,
        **_ADAM,
    ),
    _claim(
        "adam-logistic-nesterov",
        "Of logistic regression SGD with Nesterov momentum ends with a higher training loss than Adam.",
        "adam_mnist",
        "45 passes of 128; the figure draws the two over one another: no difference that matters is met",
        alike=True,
        source=_FIGURE_1,
        **_ADAM,
    ),
    *(
        _claim(
            f"adam-hidden-{short}",
            f"Of hidden layers with dropout {name} ends with a higher training loss than Adam.",
            "adam_mnist",
            "two layers of 1,000 relu units; 10 passes of 200",
            source=_FIGURE_2,
            **_ADAM,
        )
        for short, name in (
            ("adagrad", "AdaGrad"),
            ("rmsprop", "RMSProp"),
            ("nesterov", "SGD with Nesterov momentum"),
        )
    ),
    _claim(
        "batch-norm-accuracy",
        "Batch normalisation raises test accuracy.",
        "batch_norm_mnist",
        "three layers of 100 sigmoids, 50,000 steps of 60; weights and rate are ours",
        source=_IOFFE,
        **_BATCH_NORM,
    ),
    _claim(
        "batch-norm-sooner",
        "Without it a network needs more steps to 5 % training error.",
        "batch_norm_mnist",
        "three layers of 100 sigmoids, 50,000 steps of 60; weights and rate are ours",
        source=_IOFFE,
        **_BATCH_NORM,
    ),
    *(
        _error(
            name,
            f"mlp/{_MNIST}/{printed}",
            "dropout_mnist",
            f"network={cell}",
            "all 60,000 images; 20 passes of 1,667; batches of 100",
            seeds=3,
            minutes=minutes,
        )
        for name, cell, printed, minutes in (
            ("dropout-standard", "standard", "standard network, logistic, 2 layers of 800 units", 12),
            ("dropout-logistic", "dropout, logistic", "dropout, logistic, 3 layers of 1024 units", 45),
            ("dropout-relu", "dropout, relu", "dropout, relu, 3 layers of 1024 units", 45),
            (
                "dropout-max-norm",
                "dropout, relu, max-norm",
                "dropout, relu, max-norm, 3 layers of 1024 units",
                45,
            ),
        )
    ),
    *(
        _error(
            name,
            f"{network}/{_MNIST}/{printed}",
            "elastic_mnist",
            f"network={cell}",
            f"all 60,000 images; {passes} passes of Adam, batches of 50",
            seeds=3,
            minutes=75,
            measured=True,
        )
        for name, network, cell, printed, passes in (
            ("simard-hidden", "mlp", "hidden", "800 hidden units, cross-entropy, no distortions", 30),
            (
                "simard-hidden-elastic",
                "mlp",
                "hidden, elastic",
                "800 hidden units, cross-entropy, elastic distortions",
                40,
            ),
            (
                "simard-convolutions",
                "simard_cnn",
                "convolutions, elastic",
                "cross-entropy, elastic distortions",
                40,
            ),
        )
    ),
    _error(
        "maxout",
        f"maxout_mnist_dense/{_MNIST}/permutation invariant, dropout",
        "maxout_mnist",
        "units=maxout",
        "two layers of 240 units of 5 pieces; 40 passes of 100, all 60,000 images",
        seeds=3,
        minutes=90,
        measured=True,
    ),
    *(
        _error(
            name,
            f"lenet5/{_MNIST}/{printed}",
            "lenet5_mnist",
            f"distortions={cell}",
            "20 passes, all 60,000 images; SGD with momentum in place of second derivatives",
            seeds=5,
            minutes=51,
            measured=True,
        )
        for name, cell, printed in (
            ("lenet5", "none", "no distortions"),
            ("lenet5-distorted", "affine", "distorted training set"),
        )
    ),
    Paper(
        "relu-six-times",
        "three convolutions and a full connection; rates not searched",
        "relu_cifar10",
        entry="alexnet/relu sooner than tanh",
        claim="Tanh needs more steps than relu to 25 % training error.",
        seeds=3,
        minutes=300,
    ),
    _error(
        "maxout-convolutions",
        f"maxout_mnist/{_MNIST}/convolutions, dropout",
        "maxout_convolutions_mnist",
        "name=maxout_mnist",
        "20 passes, all 60,000 images",
        seeds=3,
        minutes=300,
    ),
    _error(
        "nin-mnist",
        f"nin_cifar/{_MNIST}/dropout",
        "nin_mnist",
        "name=nin_cifar",
        "the CIFAR-10 network's widths; 20 passes, all 60,000 images",
        seeds=3,
        minutes=1440,
    ),
    _error(
        "resnet20-cifar10",
        "resnet20/error/CIFAR-10 test/one view",
        "resnet20_cifar10",
        "name=resnet20",
        "as printed; the padding is black, the best held-out checkpoint is tested",
        seeds=1,
        minutes=1080,
    ),
    _claim(
        "plain-56-above-20",
        "Plain-56 ends with a higher training loss than plain-20.",
        "plain_nets_cifar10",
        "the paper's recipe for its first 16,000 of 64,000 steps",
        source="He et al. 2015 (arXiv:1512.03385), figure 6",
        data="CIFAR-10",
        seeds=3,
        minutes=6900,
    ),
    Paper(
        "random-against-grid",
        "nine trials each on the embedded digits, where the paper has variants of MNIST: its claim, not its scale",
        "random_against_grid",
        source="Bergstra and Bengio 2012 (JMLR 13), section 2",
        data="digits",
        claim="The winner of nine random trials tests better than that of a 3 x 3 grid.",
        difference="random - grid",
        seeds=8,
        minutes=25,
    ),
    Paper(
        "learning-without-forgetting",
        "digits 0 to 4, then 5 to 9 of MNIST, where the paper has photographs: its claim, not its scale",
        "forgetting",
        source="Li and Hoiem 2016 (arXiv:1606.09282), table 1",
        data="MNIST",
        claim="Learning without forgetting keeps more of the old task than fine-tuning.",
        difference="lwf - fine_tuning, old",
        seeds=5,
        minutes=20,
        script="--workdir runs/forgetting --data_dir DIR",
    ),
)
