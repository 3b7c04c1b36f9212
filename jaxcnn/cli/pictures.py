"""The verb visualize: one kind of picture a subcommand."""

import argparse

from jaxcnn.cli import projections
from jaxcnn.errors import InputError


def add(verb):
    """Adds this verb; verb(function, name, help) gives its parser."""
    parser = verb(_visualize, "visualize", "draw what a run, a network or an augmentation does")
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)

    def kind(function, name, text):
        added = kinds.add_parser(
            name,
            help=text,
            description=function.__doc__,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.add_argument(
            "--output", required=True, metavar="FILE.png", help="where to draw; the suffix names the format"
        )
        added.set_defaults(draw=function)
        return added

    projections.add_kinds(kind)
    kind(_augment, "augment", "the contact sheet of a config's augmentation").set_defaults(takes_config=True)


def _visualize(arguments):
    """Draws a picture into the file that --output names: python -m jaxcnn visualize KIND --help tells of each kind."""
    from jaxcnn.visualize.figure import save_figure

    figure = arguments.draw(arguments)
    try:
        save_figure(figure, arguments.output)
    except (OSError, ValueError) as error:
        raise InputError(f"{arguments.output} cannot be drawn: {error}") from error
    print(arguments.output)


def _augment(arguments):
    """Draws the contact sheet of augmentations:

      python -m jaxcnn visualize augment --config=configs/NAME.py --config.augment.recipe=vgg --output=sheet.png

    Above: training images of the config and eight draws each of what its augmentation makes of them. Below: every
    operation that config.augment.operations may name, at three magnitudes.
    """
    from jaxcnn.training.config import load_config
    from jaxcnn.visualize.augmentations import contact_sheet

    return contact_sheet(load_config(arguments.config_arguments))
