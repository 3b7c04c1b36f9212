"""The verbs of what a trained network knows: features, neighbours, probe."""

from __future__ import annotations

import json
from collections.abc import Callable

from jaxcnn.cli.terminal import check_picture, check_writable, counting, table, trusting
from jaxcnn.errors import InputError
from jaxcnn.names import shown


def add(verb: Callable) -> None:
    """Adds these verbs; verb(function, name, help) gives the parser of one."""
    _add_features(verb(_features, "features", "write a stage's activations for every image of a split"))
    _add_neighbours(verb(_neighbours, "neighbours", "draw the images that are nearest in feature space"))
    _add_probe(verb(_probe, "probe", "classify features: linear probe, linear SVM, nearest neighbours"))


def _add_features(parser):
    parser.add_argument("--workdir", required=True, help="the run directory")
    parser.add_argument(
        "--checkpoint", default="best", metavar="best|latest|STEP", help="default: best on the held-out slice"
    )
    parser.add_argument("--stage", required=True, help="a stage of the paper, as fc7, or a layer by its module path")
    parser.add_argument("--data", default="", help="another data set than the run's; its classes may be others")
    parser.add_argument("--data_dir", default="", help="where TFDS sets lie")
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test", help="default: test")
    parser.add_argument(
        "--pool",
        choices=("none", "mean"),
        default="none",
        help="mean: average maps over their places, (n, h, w, c) to (n, c); default: none",
    )
    parser.add_argument("--batch_size", type=int, default=64, help="default: 64")
    parser.add_argument("--workers", type=int, default=0, help="decoding processes; default: threads of this one")
    parser.add_argument("--output", required=True, metavar="FILE.npz", help="the file to write")
    trusting(parser)


def _add_neighbours(parser):
    parser.add_argument("--gallery", required=True, metavar="FILE.npz", help="features among which to look")
    parser.add_argument(
        "--query",
        required=True,
        nargs="+",
        metavar="ROW|IMAGE",
        help="rows of the gallery, counted from 0, or image files and folders of images",
    )
    parser.add_argument("-k", type=int, default=6, help="neighbours of each query; default: 6")
    parser.add_argument("--metric", choices=("cosine", "euclidean"), default="cosine", help="default: cosine")
    parser.add_argument("--workdir", default=None, help="the run, for image files, where the gallery's was moved")
    parser.add_argument("--output", required=True, metavar="FILE.png", help="the contact sheet")
    trusting(parser)


def _add_probe(parser):
    parser.add_argument("--train", required=True, metavar="A.npz", help="features to learn from")
    parser.add_argument("--test", required=True, metavar="B.npz", help="features of other images to test on")
    parser.add_argument("--seed", type=int, default=0, help="of the slice that is held out of A; default: 0")
    parser.add_argument("--output", default=None, metavar="FILE.csv", help="write the table there too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _features(arguments):
    """Writes the activations of a stage, or of any layer, for every image of a split:

      python -m jaxcnn features --workdir RUN --stage fc7 --split train --output F.npz
      python -m jaxcnn features --workdir RUN --stage stage3_block1/conv1 --pool mean --data folder:P --output F.npz

    A stage is a key of the `features` that the architecture returns; a wrong name lists them. Maps are kept as they
    are, (n, h, w, c), or averaged over their places by --pool mean; `neighbours` and `probe` flatten those that are
    kept. The file holds the arrays features (float32), label, index (the record's number in the data set), position
    (in the split), classes, and meta as JSON text. Interrupted, the same command resumes and writes the same bytes.
    """
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.transfer.feature_file import write_features
    from jaxcnn.transfer.features import Extractor, split_records

    if arguments.batch_size < 1 or arguments.workers < 0:
        raise InputError("--batch_size is at least 1, --workers at least 0.")
    trained = Trained(arguments.workdir, arguments.checkpoint)
    extractor = Extractor(trained, arguments.stage, pool=arguments.pool, batch_size=arguments.batch_size)
    records, found_by = split_records(trained, arguments.split, name=arguments.data, data_dir=arguments.data_dir)
    with counting("images") as report:
        write_features(extractor, records, found_by, arguments.output, workers=arguments.workers, report=report)
    print(arguments.output)


def _neighbours(arguments):
    """Draws each query beside the images of the gallery that are nearest to it, and prints the leave-one-out accuracy:

      python -m jaxcnn neighbours --gallery test.npz --query 0 17 203 --output sheet.png
      python -m jaxcnn neighbours --gallery test.npz --query holiday.jpg --metric euclidean --output sheet.png

    A row of the gallery is not its own neighbour. Image files pass the network that made the gallery. The accuracy is
    that of giving each image of the gallery the class of its nearest other one.
    """
    from jaxcnn.analysis.proportion import wilson_interval
    from jaxcnn.transfer.feature_file import read_features
    from jaxcnn.transfer.neighbours import find_neighbours, leave_one_out
    from jaxcnn.visualize.caption import write_caption
    from jaxcnn.visualize.figure import save_figure
    from jaxcnn.visualize.neighbours import neighbour_sheet

    check_picture(arguments.output)
    gallery = read_features(arguments.gallery)
    found = find_neighbours(gallery, arguments.query, k=arguments.k, metric=arguments.metric, workdir=arguments.workdir)
    figure, meta = neighbour_sheet(found, gallery.classes, metric=arguments.metric), gallery.meta
    words = f"{meta['run']}, checkpoint {meta['checkpoint']}, stage {meta['stage']}"
    among = "{name} {split}, ".format(**meta["data"]) if meta["data"] else ""  # images of no data set that is kept
    write_caption(figure, f"{words}; among {among}n = {len(gallery.label)}")
    save_figure(figure, arguments.output)
    right = leave_one_out(gallery.vectors(), gallery.label, metric=arguments.metric)
    low, high = wilson_interval(right.sum(), len(right))
    print(
        f"leave-one-out 1-NN ({arguments.metric}): {right.mean():.4f}, 95 % interval over images "
        f"{low:.4f} to {high:.4f}, n {len(right)}"
    )
    print(arguments.output)


def _probe(arguments):
    """Classifies the features of B by what was learned from A, and prints the accuracies:

      python -m jaxcnn probe --train train.npz --test test.npz

    Features are flattened and scaled to unit length. Logistic regression (the linear probe), a linear SVM and nearest
    neighbours; the regularisation, or the number of neighbours, is chosen on a fifth held out of A, class by class,
    then all of A is learned from. The interval is Wilson's, 95 %, over images: it says nothing of other training seeds.
    """
    from jaxcnn.evaluation.error_table import write_csv
    from jaxcnn.transfer.feature_file import read_features
    from jaxcnn.transfer.probe import probe_features

    if arguments.output:
        check_writable(arguments.output)
    train, test = read_features(arguments.train), read_features(arguments.test)
    rows = probe_features(train, test, seed=arguments.seed)
    if arguments.output:
        write_csv(arguments.output, rows)
    if arguments.json:
        print(json.dumps({"rows": [row._asdict() for row in rows]}))
        return
    print(shown(f"stage {train.meta['stage']} of {train.meta['run']}: {len(train.label)} images to learn from"))
    table(
        ("classifier", "chosen", "held-out accuracy", "test accuracy", "95 % interval", "n"),
        [
            (
                row.classifier,
                f"{row.option} {row.value:g}",
                f"{row.held_out:.4f}",
                f"{row.accuracy:.4f}",
                f"{row.low:.4f} to {row.high:.4f}",
                row.n,
            )
            for row in rows
        ],
    )
