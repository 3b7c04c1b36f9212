"""The verbs of data: prepare, statistics."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from jaxcnn.cli.terminal import trusting


def add(verb: Callable) -> None:
    """Adds these verbs; verb(function, name, help) gives the parser of one."""
    _add_prepare(verb(_prepare, "prepare", "write a TFDS data set or an image folder as array_record files"))
    add = verb(_statistics, "statistics", "mean, deviation and principal components of a config's training images")
    add.set_defaults(takes_config=True)
    trusting(add)
    add.add_argument("--json", action="store_true", help="print one JSON object")


def _add_prepare(parser):
    parser.add_argument("dataset", metavar="SET", help="tfds:NAME, for example tfds:cifar10, or folder:PATH")
    parser.add_argument("--data_dir", default=None, metavar="DIR", help="where to put it; default: TFDS's own")
    parser.add_argument(
        "--manual_dir",
        default=None,
        metavar="DIR",
        help="of a tfds: set whose files you download yourself: where they lie; default: DATA_DIR/downloads/manual",
    )
    parser.add_argument(
        "--name", dest="set_name", default=None, metavar="NAME", help="of a folder: how to call the set; default: as it"
    )
    parser.add_argument(
        "--size", type=int, default=None, metavar="S", help="of a folder: scale larger images to this short side"
    )
    parser.add_argument(
        "--on_error",
        choices=("raise", "skip"),
        default="raise",
        help="of a folder: leave out files that cannot be decoded; default: raise",
    )


def _prepare(arguments):
    """Writes a data set as array_record files, which training reads by the name tfds:NAME; prints where it is:

      python -m jaxcnn prepare tfds:cifar10 --data_dir data
      python -m jaxcnn prepare tfds:imagenet2012 --data_dir data --manual_dir downloads
      python -m jaxcnn prepare folder:photos --data_dir data --size 256

    tfds: downloaded and prepared by tensorflow-datasets; needs the extra `prepare`. Of imagenet2012 you download
    ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar yourself into the manual_dir.

    folder: class folders of images in few large files, without TensorFlow: the same records, order, splits and classes.
    JPEG and PNG are stored as they are, other files without loss as PNG; with --size S an image whose short side is
    longer becomes a JPEG of quality 95 with a short side of S pixels. The same command resumes one that was killed.
    """
    from jaxcnn.data.prepare import prepare

    options = {key: getattr(arguments, key) for key in ("data_dir", "manual_dir", "size", "on_error")}
    print(prepare(arguments.dataset, name=arguments.set_name, **options))


def _statistics(arguments):
    """Prints what normalisation and PCA lighting need, measured on the training slice of a config, on the [0, 1] scale:

      python -m jaxcnn statistics --config=configs/NAME.py

    The lines can be given to train as they are; without config.augment.pca lighting takes ImageNet's components. Equal
    files in a folder, in two classes or learned from and held out too, are counted on stderr.
    """
    from jaxcnn.training.config import load_config
    from jaxcnn.training.normalise import equal_images, measure

    config = load_config(arguments.config_arguments)
    found = {name: [float(f"{x:.6g}") for x in values] for name, values in measure(config).items()}
    for sentence in equal_images(config):
        print(f"jaxcnn: {sentence}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(found))
        return
    for name in ("mean", "std"):
        print(f"--config.data.{name}={','.join(map(str, found[name]))}")
    if found["pca"]:
        print(f'--config.augment.pca="{tuple(found["pca"])}"')
