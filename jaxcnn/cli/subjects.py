"""Options that name the subject of a verb: a run, a split of its data, images."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jaxcnn.cli.terminal import trusting
from jaxcnn.errors import InputError

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.selection import Selection


def of_run(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds --workdir and --checkpoint."""
    parser.add_argument("--workdir", required=True, metavar="RUN", help="the run directory")
    parser.add_argument(
        "--checkpoint", default="best", metavar="best|latest|STEP", help="default: best on the held-out slice"
    )
    return trusting(parser)


def of_split(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds --split too."""
    of_run(parser).add_argument(
        "--split", choices=("validation", "test", "train"), default="validation", help="default: validation"
    )
    return parser


def of_images(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds --images and --index too, one of which must be given."""
    which = of_split(parser).add_mutually_exclusive_group(required=True)
    which.add_argument("--images", nargs="+", default=[], metavar="FILE", help="image files, or folders of them")
    which.add_argument("--index", nargs="+", default=[], type=int, metavar="N", help="numbers of images in the split")
    return parser


def chosen(trained: Trained, arguments: argparse.Namespace) -> Selection:
    """The `Selection` images that --images or --index name."""
    from jaxcnn.visualize.selection import choose

    return choose(trained, files=arguments.images, split=arguments.split, positions=arguments.index)


def caption(arguments: argparse.Namespace) -> str:
    """What a picture says below it: each run, its checkpoint, and which images are drawn; "" of no run."""
    from jaxcnn.visualize.caption import caption_of, caption_of_runs, names_of

    found = vars(arguments)
    if found.get("workdir") is None:
        return ""
    if isinstance(arguments.workdir, list):
        return caption_of_runs(arguments.workdir)
    split, drawn, other = found.get("split"), "", found.get("data")
    if found.get("images"):
        split, drawn = None, names_of(arguments.images)
    elif found.get("index"):
        images = "image" if len(arguments.index) == 1 else "images"
        drawn = f"{images} {', '.join(map(str, arguments.index))} of {split}"
    elif split and other:
        split, drawn = None, f"{split} of {other}"
    return caption_of(arguments.workdir, checkpoint=arguments.checkpoint, split=split, drawn=drawn)


def check_positive(arguments: argparse.Namespace, *names: str) -> None:
    """Raises InputError where one of these options is given and below 1."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}; it is at least 1")
