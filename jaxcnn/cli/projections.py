"""The kinds of visualize that look at single units: deconvnet, top, occlusion, receptive_field."""

from __future__ import annotations

import sys
from collections.abc import Callable

from jaxcnn.cli.subjects import check_positive, chosen, of_images, of_split
from jaxcnn.cli.terminal import counting
from jaxcnn.errors import InputError, input_errors

FEW = 1000  # images: the nine strongest of a unit are then one in a hundred


def add_kinds(kind: Callable) -> None:
    """Adds these kinds; kind(function, name, help) gives the parser of one."""
    parser = of_images(kind(_deconvnet, "deconvnet", "units brought back to an image: deconvnet, guided, saliency"))
    _add_units(parser, "default: the 5 that answer most")
    _add_place(parser, "default: where each unit answers most")
    parser = of_split(kind(_top, "top", "the images that activate each unit most, and what it sees in them"))
    _add_units(parser, "default: 12, evenly spread")
    parser.add_argument("--count", type=int, default=9, metavar="N", help="images a unit; default: 9")
    rules = ("deconvnet", "guided", "gradient")
    parser.add_argument(
        "--rule",
        choices=rules,
        help="of the projections; default: deconvnet, or guided where a network has too few max poolings",
    )
    parser = of_images(kind(_occlusion, "occlusion", "what a network answers with a part of the image covered"))
    _add_stage(parser)
    parser.add_argument("--class", dest="class_name", metavar="NAME", help="default: that of the image, else predicted")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="of the square; default: a quarter of the image")
    parser.add_argument("--stride", type=int, metavar="PIXELS", help="default: a quarter of the square")
    parser = of_images(kind(_receptive_field, "receptive_field", "what a unit can see, and what it looks at"))
    _add_stage(parser)
    parser.add_argument("--unit", type=int, metavar="N", help="default: the one that answers most there")
    _add_place(parser, "default: the middle of the map")


def _add_stage(parser):
    parser.add_argument("--stage", metavar="STAGE", help="default: the last one with more than one place")


def _add_units(parser, text):
    _add_stage(parser)
    parser.add_argument("--units", type=int, nargs="+", default=[], metavar="N", help=f"channels; {text}")


def _add_place(parser, text):
    parser.add_argument("--place", type=int, nargs=2, metavar=("ROW", "COLUMN"), help=f"in the map; {text}")


def _deconvnet(arguments):
    """Draws what units of a stage see in an image, brought back to the pixels by three rules:

      python -m jaxcnn visualize deconvnet --workdir RUN --images photo.jpg --stage conv4_1 --output units.png
      python -m jaxcnn visualize deconvnet --workdir RUN --index 17 --stage pool3 --units 4 9 --output units.png

    A row is a unit: the image with its receptive field, the patch, the deconvnet (Zeiler and Fergus 2013), guided
    backpropagation (Springenberg et al. 2014) and saliency (Simonyan et al. 2013: the largest magnitude of the
    gradient over the colours). They differ only at a relu; in a network without one the first two are the gradient.
    --stage logits are the classes.
    """
    from jaxcnn.visualize.projections import draw_projections, project_units, same_for_any_image

    inspector, image, _ = _look(arguments)
    with input_errors("deconvnet"):
        units = project_units(inspector, image, arguments.stage, channels=arguments.units, place=arguments.place)
        if same_for_any_image(inspector, image, arguments.stage, units[0].channel, units[0].place):
            _say(arguments.stage, "look at guided backpropagation and saliency")
    return draw_projections(image, units)


def _top(arguments):
    """Draws for units of a stage the images of a split that activate them most, in one pass over it:

      python -m jaxcnn visualize top --workdir RUN --stage conv4_1 --split train --output top.png

    Two squares a unit: right the patches, cut by its receptive field around the place where it answers most, left what
    it answers to in them (Zeiler and Fergus 2013, figure 2); the strongest first, an image once.
    """
    from jaxcnn.visualize.projections import COLUMNS
    from jaxcnn.visualize.top import draw_top, top_patches

    check_positive(arguments, "count")
    inspector = _inspector(arguments)
    records = inspector.trained.open(arguments.split).records
    options = {"channels": arguments.units, "count": arguments.count, "rule": arguments.rule}
    with input_errors("top"), counting("images") as report:
        tops = top_patches(inspector, records, arguments.stage, report=report, **options)
    name = f"{inspector.trained.config.model.name}, {arguments.stage}: the strongest of {len(records):,} images"
    if arguments.rule is None and tops[0].rule != "deconvnet":
        _say(arguments.stage, "guided backpropagation is drawn; --rule deconvnet draws the other")
    _say_what_to_doubt(arguments.stage, len(records), tops[0].patches.shape[1:3] == inspector.trained.shape[:2])
    return draw_top(tops, title=f"{name} of {arguments.split}, projected by {COLUMNS[tops[0].rule]}")


def _say_what_to_doubt(stage, images, whole):
    if images < FEW:
        print(
            f"jaxcnn: {images:,} images are few: the strongest of them need not show what a unit looks for.",
            file=sys.stderr,
        )
    if whole:
        print(
            f"jaxcnn: a unit of {stage} sees the whole image, so that its patches are images; earlier ones see parts.",
            file=sys.stderr,
        )


def _say(stage, advice):
    print(
        f"jaxcnn: the deconvnet knows an image by the switches of its max poolings alone. Below {stage} this network "
        f"has too few (strides make its maps smaller), so that a unit is projected alike from any image: {advice}.",
        file=sys.stderr,
    )


def _occlusion(arguments):
    """Draws what a network answers when a grey square covers a part of the image (Zeiler and Fergus 2013, figure 6):

      python -m jaxcnn visualize occlusion --workdir RUN --images photo.jpg --size 16 --stride 4 --output map.png

    The sum of the stage's strongest map, the probability of the class, and the most probable class, each where the
    square is centred.
    """
    from jaxcnn.visualize.occlusion import draw_occlusion, occlude_image
    from jaxcnn.visualize.overlay import class_number

    check_positive(arguments, "size", "stride")
    inspector, image, label = _look(arguments)
    classes = inspector.trained.classes
    if arguments.class_name is not None:
        label = class_number(arguments.class_name, classes)
    options = {"label": label, "size": arguments.size, "stride": arguments.stride}
    with input_errors("occlusion"), counting("places") as report:
        found, label, size = occlude_image(inspector, image, arguments.stage, report=report, **options)
    return draw_occlusion(image, found, label=label, size=size, stage=arguments.stage, classes=classes)


def _receptive_field(arguments):
    """Draws what a unit can see of an image and what it looks at:

      python -m jaxcnn visualize receptive_field --workdir RUN --index 17 --stage conv3_1 --output field.png
      python -m jaxcnn visualize receptive_field --workdir RUN --images photos --stage conv3_1 --output field.png

    In theory: the box that is read from the network. Measured: the box of pixels with a gradient, and how large it is,
    mean over the images that are named; the first of them is drawn. Effective: above 4.55 % of the largest (Luo et al.
    2016).
    """
    from jaxcnn.visualize.receptive_field import draw_fields, unit_fields

    inspector = _inspector(arguments)
    images = chosen(inspector.trained, arguments).images
    with input_errors("receptive_field"):
        fields = unit_fields(inspector, images, arguments.stage, channel=arguments.unit, place=arguments.place)
    return draw_fields(images[0], fields)


def _inspector(arguments):
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.inspector import Inspector

    trained = Trained(arguments.workdir, arguments.checkpoint)
    if arguments.kind == "occlusion":
        trained.needs_probabilities("occlusion")
    inspector = Inspector(trained, classes=trained.classes if "logits" in trained.outputs() else ())
    arguments.stage = arguments.stage or inspector.default_stage()
    return inspector


def _look(arguments):
    """The network, and the one image with its label, or None."""
    inspector = _inspector(arguments)
    found = chosen(inspector.trained, arguments)
    if len(found.images) != 1:
        raise InputError(f"{arguments.kind} is drawn of one image, not of {len(found.images)}.")
    return inspector, found.images[0], found.labels[0]
