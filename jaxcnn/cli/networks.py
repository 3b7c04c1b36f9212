"""The verbs of architectures: summary, frontier, audit, convert."""

from __future__ import annotations

import json
from collections.abc import Callable

from jaxcnn.cli.terminal import counting, refuse, trusting
from jaxcnn.errors import InputError
from jaxcnn.names import shown

READING = ("architecture", "key", "option", "data", "data_dir", "classes")  # of convert --from, with what follows
READING += ("mean", "std", "image_size", "resize", "interpolation")


def add(verb: Callable) -> None:
    """Adds these verbs; verb(function, name, help) gives the parser of one."""
    _add_summary(verb(_summary, "summary", "layers, parameters, MACs, memory and receptive fields of architectures"))
    add = trusting(verb(_frontier, "frontier", "draw error against operations"))
    add.add_argument("--output", required=True, metavar="FILE.png", help="where to draw; the suffix names the format")
    add.add_argument("--workdir", nargs="+", default=[], metavar="RUN", help="these runs, not the published errors")
    add.add_argument("--json", action="store_true", help="print the points as one JSON object")
    add = verb(_audit, "audit", "recompute every number that papers and lectures print")
    add.add_argument("names", nargs="*", metavar="NAME", help="architectures, or 'lectures'; default: all")
    add.add_argument("--data_dir", default="", metavar="DIR", help="where TFDS sets lie; default: TFDS's own")
    add.add_argument("--json", action="store_true", help="print one JSON object")
    _add_convert(verb(_convert, "convert", "weights trained elsewhere as a run directory, and back"))


def _add_summary(parser):
    parser.add_argument(
        "architecture", nargs="+", help="a name, or package.module:attribute; several are compared side by side"
    )
    parser.add_argument("--input", default=None, metavar="H,W,C", help="image shape, or its side; default: the paper's")
    parser.add_argument("--batch", type=int, default=1, help="images in the batch; default: 1")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the architecture"
    )
    parser.add_argument("--flops", action="store_true", help="print FLOPs, 2 x MAC")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_convert(parser):
    parser.add_argument(
        "file",
        help="safetensors, a state_dict of PyTorch, a caffemodel, or hf-hub:OWNER/NAME[@REVISION], a repository of the "
        "Hugging Face hub; with --to the .safetensors to write",
    )
    names = {"metavar": "torchvision|timm|caffe|TABLE.json", "help": "whose names the file has, or a table of names"}
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--from", dest="source", **names)
    which.add_argument("--to", dest="target", **names)
    parser.add_argument("--workdir", required=True, help="the run directory to write; with --to the one to read")
    parser.add_argument(
        "--architecture", default=None, help="our name of it, or theirs; default: what the repository says"
    )
    parser.add_argument("--key", default="", metavar="NAME", help="where the weights lie in a file that holds several")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="an option of it")
    parser.add_argument("--data", default="", help="the data set to evaluate on; its classes name the outputs")
    parser.add_argument("--data_dir", default="", help="where TFDS sets lie")
    parser.add_argument("--classes", default=None, metavar="FILE", help="names of the outputs, one a line")
    usual = "default: as the weights were trained"
    parser.add_argument("--mean", default=None, metavar="M,M,M", help=f"on the [0, 1] scale; {usual}")
    parser.add_argument("--std", default=None, metavar="S,S,S", help=f"on the [0, 1] scale; {usual}")
    parser.add_argument("--image_size", default=None, metavar="H,W", help=f"that is cut out, or its side; {usual}")
    parser.add_argument("--resize", type=int, default=None, metavar="N", help=f"the short side before that; {usual}")
    parser.add_argument(
        "--interpolation", choices=("bilinear", "bicubic"), default=None, help=f"of the resize; {usual}"
    )
    trusting(parser)


def _summary(arguments):
    """Prints layer by layer what an architecture costs and sees, without running it:

      python -m jaxcnn summary vgg_d
      python -m jaxcnn summary resnet50 --input 256 --batch 32 --option shortcut=C
      python -m jaxcnn summary alexnet vgg_d resnet50

    output: shape with the batch. memory: of the output. MACs: multiply-adds of one image, of convolutions and linear
    layers, on the path to the main logits. field: side of the receptive field, "image" where every output sees the
    whole image; stride: pixels between neighbours; padding: how far the field reaches beyond the image, before and
    after (negative: pixels that nothing sees). All pairs are (vertical, horizontal).
    """
    from jaxcnn.analysis.summary import comparison_table, layer_table
    from jaxcnn.progress import waiting

    with waiting("tracing the network"):
        found = {name: _totals(name, arguments) for name in arguments.architecture}
    if arguments.flops:
        found = {name: {**totals, "flops": 2 * totals["macs"]} for name, totals in found.items()}
    objects = [{"architecture": name, **totals} for name, totals in found.items()]
    if arguments.json:
        print(json.dumps(objects[0] if len(objects) == 1 else {"architectures": objects}))
    elif len(objects) > 1:
        print("\n".join(comparison_table(found, flops=arguments.flops)))
    else:
        (name,) = found
        print(name, "", *layer_table(found[name], flops=arguments.flops), sep="\n")


def _totals(name, arguments):
    from jaxcnn.analysis import summarize
    from jaxcnn.analysis.summary import paper_input
    from jaxcnn.architectures import CLAIMS, create
    from jaxcnn.errors import input_errors

    if arguments.batch < 1:
        raise InputError(f"--batch is {arguments.batch}; it is at least 1")
    with input_errors("summary"):
        model = create(name, **dict(_option(text) for text in arguments.option))
        if arguments.input is None:
            shape = paper_input(name)
        else:
            shape = _shape(arguments.input, CLAIMS[name].input[2] if name in CLAIMS else 3)
        return summarize(model, shape, batch=arguments.batch)


def _shape(text, channels):
    """H,W,C; one number is the side of a square with the channels of the paper."""
    try:
        numbers = [int(part) for part in text.split(",")]
        height, width, channels = (*numbers * 2, channels) if len(numbers) == 1 else numbers
    except ValueError:
        height = width = channels = 0
    if min(height, width, channels) < 1:
        raise InputError(f"--input is '{text}'; it is H,W,C, for example 32,32,3, or the side of a square")
    return height, width, channels


def _frontier(arguments):
    """Draws top-1 error against multiply-adds, with the area of a point for parameters (Canziani et al. 2016):

      python -m jaxcnn frontier --output frontier.png
      python -m jaxcnn frontier --output mine.png --workdir runs/a runs/b

    Published errors are those of one crop where the paper has one, else of ten crops or dense evaluation (hollow).
    Of a run it is the latest evaluation, on the test split where there is one.
    """
    from jaxcnn.visualize.frontier import draw_frontier, published_points, run_points

    points = run_points(arguments.workdir) if arguments.workdir else published_points()
    try:
        draw_frontier(points, arguments.output)
    except (OSError, ValueError) as error:
        raise InputError(f"{arguments.output} cannot be drawn: {error}") from error
    if arguments.json:
        print(json.dumps({"output": arguments.output, "points": [point._asdict() for point in points]}))
    else:
        print(arguments.output)


def _option(text):
    import ast

    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--option is '{text}'; it is KEY=VALUE, for example shortcut=B")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _audit(arguments):
    """Recomputes the paper ledger; the exit code is 1 where a number drifted or its architecture is missing.

    A number that is recomputed from a data set (PCA's error on MNIST) is absent where that is not prepared.
    """
    from jaxcnn.analysis.audit import audit, show

    with counting("numbers") as report:
        rows = audit(arguments.names, data_dir=arguments.data_dir, report=report)
    return show(rows, as_json=arguments.json)


def _convert(arguments):
    """Converts weights that were trained elsewhere into a run directory, which evaluate and predict open:

      python -m jaxcnn convert --from torchvision --architecture vgg16 vgg16.pth --workdir runs/vgg16
      python -m jaxcnn convert --from timm hf-hub:timm/resnet18.a1_in1k --workdir runs/imagenet

    A repository says its architecture, preprocessing and classes; docs/weights.md lists those that fit. With --to,
    writes those of a run as safetensors under the other's names. Weights under other names come with
    --from TABLE.json, a table from their layers to ours (`python -m jaxcnn summary NAME` lists them); behind a map that
    is flattened with its channels, height and width:

      {"features.0": "conv1", "classifier.1": {"layer": "fc6", "flatten": [256, 6, 6]}, "classifier.6": "fc8"}
    """
    import pathlib

    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.transfer import convert, export

    if arguments.target:
        refuse(arguments, READING, "for --from; with --to the run says it")
        count = export(arguments.workdir, arguments.file, source=arguments.target)
        print(f"{count} tensors in {arguments.file}")
        return
    try:
        names = None if arguments.classes is None else pathlib.Path(arguments.classes).read_text(encoding="utf-8")
        classes = names if names is None else names.splitlines()
    except OSError as error:
        raise InputError(f"--classes {arguments.classes} cannot be read: {error.strerror}") from error
    count = convert(
        arguments.source,
        arguments.architecture or "",
        arguments.file,
        arguments.workdir,
        options=dict(_option(text) for text in arguments.option),
        key=arguments.key,
        data=arguments.data,
        data_dir=arguments.data_dir,
        classes=classes,
        mean=_numbers("mean", arguments.mean),
        std=_numbers("std", arguments.std),
        image_size=_sides(arguments.image_size),
        resize=arguments.resize,
        interpolation=arguments.interpolation,
    )
    trained = Trained(arguments.workdir)
    print(f"{arguments.architecture or trained.config.model.name}: {count:,} parameters in {arguments.workdir}")
    print(f"images: {_preparation(trained)}")
    first, last = shown(trained.classes[0]), shown(trained.classes[-1])
    print(f"classes: {len(trained.classes):,}, {first} ... {last}")


def _preparation(trained):
    """How a converted network takes its images, in words."""
    data = trained.config.data
    scaled = f"short side to {data.resize}, {data.interpolation}, then " if data.resize else ""
    mean, std = (" ".join(f"{x:.4g}" for x in numbers) for numbers in (trained.mean, trained.std))
    return f"{scaled}{data.image_size[0]}x{data.image_size[1]} from the centre; mean {mean}, deviation {std}"


def _sides(text):
    try:
        sides = None if text is None else tuple(map(int, text.split(",")))
    except ValueError:
        sides = ()
    if sides is not None and (len(sides) not in (1, 2) or min(sides) < 1):
        raise InputError(f"--image_size is '{text}'; it is H,W, as 224,224, or the side of a square")
    return sides * 2 if sides and len(sides) == 1 else sides


def _numbers(key, text):
    try:
        return None if text is None else tuple(map(float, text.split(",")))
    except ValueError as error:
        raise InputError(f"--{key} is '{text}'; it is numbers, as 0.485,0.456,0.406") from error
