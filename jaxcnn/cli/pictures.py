"""The verb visualize: one kind of picture a subcommand."""

from __future__ import annotations

import pathlib
import shlex
import sys
from collections.abc import Callable

from jaxcnn.cli import projections
from jaxcnn.cli.subjects import caption, check_positive, chosen, of_images, of_run, of_split
from jaxcnn.cli.terminal import check_picture, check_writable, counting, make_folder, subcommand, trusting
from jaxcnn.errors import InputError, input_errors
from jaxcnn.files import write_text


def add(verb: Callable) -> None:
    """Adds this verb; verb(function, name, help) gives its parser."""
    parser = verb(_visualize, "visualize", "draw what a run, a network or an augmentation does")
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)

    def kind(function, name, text, *, of_one_run=True):
        added = subcommand(kinds, function, name, text)
        default = f"; default: RUN/pictures/{name}.png, which the report of the run then shows" if of_one_run else ""
        words = f"where to draw; the suffix names the format{default}"
        added.add_argument("--output", required=not of_one_run, metavar="FILE.png", help=words)
        added.set_defaults(draw=function, html=None)
        return added

    augment = kind(_augment, "augment", "the contact sheet of a config's augmentation", of_one_run=False)
    trusting(augment).set_defaults(takes_config=True)
    curves = kind(_curves, "curves", "loss, accuracy, gap and learning rate of runs", of_one_run=False)
    curves.add_argument("--workdir", nargs="+", required=True, metavar="RUN", help="run directories")
    _add_filters(kind(_filters, "filters", "the filters of a convolution"))
    activations = of_images(kind(_activations, "activations", "what every stage makes of one image"))
    activations.add_argument("--channels", type=int, default=16, metavar="N", help="of a stage, at most; default: 16")
    _add_cam(of_images(kind(_cam, "cam", "where in an image the network sees a class")))
    of_images(kind(_attention, "attention", "where in an image each word of its caption looked"))
    _add_tsne(of_split(kind(_tsne, "tsne", "a map of images by what a stage makes of them")))
    _add_latent(of_split(kind(_latent, "latent", "the code of an autoencoder, and walks between two images in it")))
    of_split(kind(_confusion, "confusion", "which class is taken for which"))
    of_split(kind(_calibration, "calibration", "whether the network is right as often as it says"))
    mistakes = of_split(kind(_mistakes, "mistakes", "the wrong predictions that the network was surest of"))
    mistakes.add_argument("--limit", type=int, default=24, metavar="N", help="how many at most; default: 24")
    proposals = of_images(kind(_proposals, "proposals", "the regions that a detector proposes, the surest"))
    proposals.add_argument("--limit", type=int, default=30, metavar="N", help="how many at most; default: 30")
    of_images(kind(_anchors, "anchors", "the anchors of a detector, and which of them lie on objects"))
    projections.add_kinds(kind)


def _add_filters(parser):
    of_run(parser)
    parser.add_argument("--layer", default=None, metavar="NAME", help="a module path or a stage; default: the first")
    parser.add_argument("--filters", type=int, default=16, metavar="N", help="rows of a grid, at most; default: 16")
    parser.add_argument("--channels", type=int, default=16, metavar="N", help="columns of a grid, at most; default: 16")


def _add_cam(parser):
    parser.add_argument("--class", dest="classes", nargs="+", default=[], metavar="NAME", help="default: the predicted")
    parser.add_argument("--method", choices=("grad_cam", "cam"), default="grad_cam", help="default: grad_cam")
    parser.add_argument(
        "--stage", nargs="+", default=[], metavar="STAGE", help="of grad_cam; default: the last convolutional one"
    )


def _add_tsne(parser):
    parser.add_argument("--stage", required=True, help="a stage, or the module path of a layer")
    _add_map(parser)
    parser.add_argument("--thumbnails", action="store_true", help="the images instead of points")
    parser.add_argument("--html", default=None, metavar="FILE.html", help="write an interactive page too")


def _add_map(parser):
    parser.add_argument("--count", type=int, default=500, metavar="N", help="images, drawn at random; default: 500")
    parser.add_argument("--perplexity", type=float, default=30.0, help="about how many neighbours; default: 30")
    parser.add_argument("--seed", type=int, default=0, help="of the draw and of t-SNE; default: 0")


def _add_latent(parser):
    parser.add_argument("--data", default="", metavar="NAME", help="another data set than the run's, of its classes")
    parser.add_argument("--data_dir", default="", metavar="DIR", help="where TFDS sets lie; default: as the run had it")
    _add_map(parser)
    parser.add_argument("--pairs", type=int, default=6, metavar="N", help="walks; default: 6")
    parser.add_argument("--steps", type=int, default=9, metavar="N", help="images of a walk; default: 9")


def _visualize(arguments):
    """Draws a picture into a file, by default one of the run, which its report.html then shows:
    python -m jaxcnn visualize KIND --help tells of each kind.
    """
    from jaxcnn.progress import waiting
    from jaxcnn.visualize.caption import write_caption
    from jaxcnn.visualize.collect import write_report
    from jaxcnn.visualize.figure import save_figure

    in_report = arguments.output is None
    if in_report:
        arguments.output = str(_picture_of_run(arguments))
    _check_outputs(arguments)
    with waiting(f"drawing {arguments.kind}"):
        figure = arguments.draw(arguments)
        if text := caption(arguments):
            write_caption(figure, text)
    try:
        save_figure(figure, arguments.output, description=f"python -m jaxcnn {shlex.join(sys.argv[1:])}")
    except (OSError, ValueError) as error:
        raise InputError(f"{arguments.output} cannot be drawn: {error}") from error
    if in_report:
        print(write_report(arguments.workdir))
    print(arguments.output)


def _picture_of_run(arguments):
    from jaxcnn.training.rundir.directory import read_config
    from jaxcnn.visualize.collect import PICTURES

    read_config(arguments.workdir)  # so that no folder is made where there is no run
    return pathlib.Path(arguments.workdir) / PICTURES / f"{arguments.kind}.png"


def _check_outputs(arguments):
    """Whatever would fail in the end fails now."""
    check_picture(arguments.output)
    if arguments.html:
        make_folder(pathlib.Path(arguments.html))
        check_writable(arguments.html)


def _augment(arguments):
    """Draws the contact sheet of augmentations:

      python -m jaxcnn visualize augment --config=configs/NAME.py --config.augment.recipe=vgg --output=sheet.png

    Above: training images of the config and eight draws each of what its augmentation makes of them. Below: every
    operation that config.augment.operations may name, at three magnitudes.
    """
    from jaxcnn.training.config import load_config
    from jaxcnn.visualize.augmentations import contact_sheet

    config = load_config(arguments.config_arguments)
    with counting("draws and operations") as report:
        return contact_sheet(config, report=report)


def _curves(arguments):
    """Draws loss, accuracy (or what else selects), its gap between train and held out, and learning rate of runs:

    python -m jaxcnn visualize curves --workdir runs/a runs/b --output curves.png
    """
    from jaxcnn.visualize.run_curves import draw_runs, read_runs

    return draw_runs(*read_runs(arguments.workdir))


def _filters(arguments):
    """Draws the filters of a convolution, each divided by its own largest magnitude; zero is grey:

      python -m jaxcnn visualize filters --workdir RUN --output filters.png
      python -m jaxcnn visualize filters --workdir RUN --layer stage2_block1/conv1 --output filters.png

    The first layer in colour, AlexNet's tower by tower. Of a deeper layer a row is a filter and a column an input
    channel: those of the largest norm, a grid for each group.
    """
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.convolutions import find_convolution, towers
    from jaxcnn.visualize.filters import draw_filters

    check_positive(arguments, "filters", "channels")
    trained = Trained(arguments.workdir, arguments.checkpoint)
    network = trained.model, trained.variables, trained.shape
    with input_errors("--layer"):
        found = find_convolution(*network, arguments.layer)
    parts = towers(*network, found.path) if found.image else 1
    options = {"filters": arguments.filters, "channels": arguments.channels}
    return draw_filters(found, name=f"{trained.config.model.name} {found.path}", towers=parts, **options)


def _activations(arguments):
    """Draws what every stage of a network makes of one image: its strongest channels, vectors as bars or strips, and
    the most probable classes of a classifier:

    python -m jaxcnn visualize activations --workdir RUN --images photo.jpg --output activations.png
    python -m jaxcnn visualize activations --workdir RUN --split test --index 17 --output activations.png
    """
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.activations import draw_activations, stage_activations

    check_positive(arguments, "channels")
    trained = Trained(arguments.workdir, arguments.checkpoint)
    image = chosen(trained, arguments).images
    if len(image) != 1:
        raise InputError(f"activations are drawn of one image, not of {len(image)}.")
    found = stage_activations(trained, image[0])
    return draw_activations(image[0], *found, trained.classes, channels=arguments.channels)


def _cam(arguments):
    """Draws where in images a network sees a class, by grad-CAM at any stage of any network:

      python -m jaxcnn visualize cam --workdir RUN --images photo.jpg --output cam.png
      python -m jaxcnn visualize cam --workdir RUN --index 3 17 --class cat dog --stage conv3 conv5 --output cam.png

    or, with --method cam, by class activation maps, for a network that ends in global average pooling and one linear
    layer: there both are the same but for a scale and what is below zero.
    """
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.overlay import class_overlays

    trained = Trained(arguments.workdir, arguments.checkpoint).needs_probabilities("cam")
    with input_errors("cam"):
        return class_overlays(
            trained,
            chosen(trained, arguments),
            classes=arguments.classes,
            method=arguments.method,
            stages=arguments.stage,
        )


def _attention(arguments):
    """Draws where in images a network with attention looked while it wrote each word of their captions:

    python -m jaxcnn visualize attention --workdir RUN --images photo.jpg --output attention.png
    python -m jaxcnn visualize attention --workdir RUN --split test --index 3 17 --output attention.png
    """
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.attention import draw_attention

    trained = Trained(arguments.workdir, arguments.checkpoint)
    return draw_attention(trained, chosen(trained, arguments))


def _tsne(arguments):
    """Lays images out by t-SNE of what a stage makes of them, so that what looks alike to the network lies together:

      python -m jaxcnn visualize tsne --workdir RUN --stage fc7 --split test --output map.png --html map.html

    A map is averaged over the image first. With --html, a page that shows the image under the pointer.
    """
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.tsne import check_perplexity, draw_tsne, embed, sample_stage
    from jaxcnn.visualize.tsne_page import tsne_page

    check_positive(arguments, "count")
    trained = Trained(arguments.workdir, arguments.checkpoint)
    records = trained.open(arguments.split).records
    classes = trained.classes if "label" in trained.fields else ()
    with input_errors("tsne"), counting("images") as report:
        check_perplexity(arguments.perplexity, min(arguments.count, len(records)))
        sample = sample_stage(
            trained, records, arguments.stage, count=arguments.count, seed=arguments.seed, report=report
        )
        places = embed(sample.vectors, perplexity=arguments.perplexity, seed=arguments.seed)
    title = f"{trained.config.model.name}, {arguments.stage}: t-SNE of {len(places)} images of {arguments.split}"
    if arguments.html:
        words = f"seed {arguments.seed}, perplexity {arguments.perplexity:g}, checkpoint of step {trained.step}"
        page = tsne_page(places, sample, classes, title=title, subtitle=words, split=arguments.split)
        write_text(arguments.html, page)
        print(arguments.html)
    return draw_tsne(places, sample, classes, title=title, thumbnails=arguments.thumbnails)


def _latent(arguments):
    """Draws the code of an autoencoder: images where their codes lie, and walks from one image to another:

      python -m jaxcnn visualize latent --workdir RUN --split test --output latent.png

    A code of two numbers is drawn as it is, a longer one by t-SNE. A walk decodes codes on the straight line between
    those of two images, of two classes where there are classes; the images themselves stand at its ends. Of a network
    that generates images the walks alone are drawn, between two codes of a class.
    """
    from jaxcnn.evaluation.latent import choose_pairs, generated_walks, latent_of, walk
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.latent import draw_latent, draw_walks, lay_out, read_codes

    check_positive(arguments, "count", "pairs")
    if arguments.steps < 2:
        raise InputError(f"--steps is {arguments.steps}; a walk has 2 images at least, its ends.")
    trained = Trained(arguments.workdir, arguments.checkpoint)
    if trained.task.sample is not None:
        arguments.split = None  # no image of the data is drawn
        walks, labels = generated_walks(trained, arguments.pairs, steps=arguments.steps, seed=arguments.seed)
        return draw_walks(walks, [trained.classes[i] if trained.task.sample.conditional else "" for i in labels])
    latent = latent_of(trained)
    records = trained.open(arguments.split, name=arguments.data, data_dir=arguments.data_dir).records
    with input_errors("latent"), counting("images") as report:
        coded = read_codes(trained, latent, records, count=arguments.count, seed=arguments.seed, report=report)
        places = lay_out(coded.codes, perplexity=arguments.perplexity, seed=arguments.seed)
    pairs = choose_pairs(coded.labels, arguments.pairs, seed=arguments.seed)
    walks = walk(trained, latent.decode, coded.codes, pairs, steps=arguments.steps)
    how = "" if coded.codes[0].size == 2 else "t-SNE of "
    title = f"{trained.config.model.name}, code: {how}{len(places)} images of {arguments.split}"
    return draw_latent(coded, walks, trained.classes, places, title=title)


def _confusion(arguments):
    """Draws the confusion matrix of a split; evaluates it first where the run has not logged it for this checkpoint:

    python -m jaxcnn visualize confusion --workdir RUN --split test --output confusion.png
    """
    import numpy as np

    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.confusion import draw_confusion

    trained = Trained(arguments.workdir, arguments.checkpoint)
    logged = _logged(trained, arguments.split, "confusion")
    details = logged or trained.evaluate(arguments.split)[0].details
    if "confusion" not in details:
        raise InputError(
            f"A confusion matrix needs a classifier; {arguments.workdir} is a run of task {trained.config.task.name}."
        )
    return draw_confusion(np.array(details["confusion"]), trained.classes)


def _logged(trained, split, key):
    """The last logged evaluation of a checkpoint on a split that has a key, or None."""
    from jaxcnn.training.rundir.evaluations import read_evaluations

    rows = reversed(read_evaluations(trained.workdir))
    return next((r for r in rows if key in r and (r["step"], r["split"]) == (trained.step, split)), None)


def _calibration(arguments):
    """Draws the reliability diagram of a split, before and after temperature scaling:

      python -m jaxcnn visualize calibration --workdir RUN --split test --output calibration.png

    The temperature is fitted on validation, and used on other splits. Validation and the split are evaluated first
    where the run has not logged them for this checkpoint.
    """
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.reliability import draw_reliability

    trained = Trained(arguments.workdir, arguments.checkpoint).needs_probabilities("calibration")
    held_out = _logged(trained, "validation", "calibration") or trained.evaluate("validation")[1]
    row = held_out if arguments.split == "validation" else _logged(trained, arguments.split, "calibration")
    temperatures = [one and one.get("calibration", {}).get("temperature") for one in (row, held_out)]
    if row is None or temperatures[0] != temperatures[1]:
        _, row = trained.evaluate(arguments.split)
    if "calibration" not in row:
        raise InputError(f"{arguments.workdir} gives no class probabilities that are finite: nothing can be drawn.")
    title = f"{trained.config.model.name}, step {trained.step}, {arguments.split}, n = {row['n']}"
    accuracy = f", accuracy {100 * row['top1']:.2f} %" if "top1" in row else ""
    return draw_reliability(row["calibration"], title=title + accuracy)


def _mistakes(arguments):
    """Draws the wrong predictions that a network was surest of: image, true class, predicted class, probability:

    python -m jaxcnn visualize mistakes --workdir RUN --split test --output mistakes.png
    """
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.mistakes import draw_mistakes, find_mistakes
    from jaxcnn.visualize.selection import file_of, photograph

    check_positive(arguments, "limit")
    trained = Trained(arguments.workdir, arguments.checkpoint).needs_probabilities("mistakes")
    records = trained.open(arguments.split).records
    with counting("images") as report:
        kept, wrong, seen = find_mistakes(trained, records, limit=arguments.limit, report=report)
    title = f"{trained.config.model.name} on {arguments.split}: the {len(kept)} surest of {wrong} mistakes in {seen}"
    photographs = {position: (photograph(records, position), file_of(records, position)) for position, _ in kept}
    return draw_mistakes(kept, trained.classes, title=title, photographs=photographs)


def _proposals(arguments):
    """Draws the surest proposals of a detector's first stage over images, the surest darkest:

    python -m jaxcnn visualize proposals --workdir RUN --images photo.jpg --limit 50 --output proposals.png
    python -m jaxcnn visualize proposals --workdir RUN --split test --index 3 17 --output proposals.png
    """
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.proposals import draw_proposals

    check_positive(arguments, "limit")
    trained = Trained(arguments.workdir, arguments.checkpoint)
    return draw_proposals(trained, chosen(trained, arguments), limit=arguments.limit)


def _anchors(arguments):
    """Draws the anchors of one cell in the middle of images; of images of a split also the anchor that overlaps each
    object most, with its IoU: scales and ratios that fit the objects give 0.7 and more.

      python -m jaxcnn visualize anchors --workdir RUN --split train --index 3 17 --output anchors.png
    """
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.proposals import draw_anchors

    trained = Trained(arguments.workdir, arguments.checkpoint)
    return draw_anchors(trained, chosen(trained, arguments))
