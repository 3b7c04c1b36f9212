"""The verb export."""

from __future__ import annotations

from collections.abc import Callable

from jaxcnn.cli.subjects import of_run
from jaxcnn.cli.terminal import check_writable


def add(verb: Callable) -> None:
    """Adds this verb; verb(function, name, help) gives its parser."""
    parser = verb(_export, "export", "a trained network as one file that predicts without jaxcnn")
    of_run(parser)
    parser.add_argument("--to", required=True, choices=("stablehlo",), help="the format: what jax.export reads")
    parser.add_argument("file", metavar="FILE", help="where it goes; FILE.json beside it says what goes in and out")
    parser.add_argument(
        "--platforms",
        nargs="+",
        default=None,
        metavar="PLATFORM",
        help="of cpu, cuda, rocm and tpu; none has to be here; default: cpu cuda",
    )


def _export(arguments):
    """Writes a trained network, its preprocessing and its task as one program that needs jax alone:

      python -m jaxcnn export --workdir RUN --to stablehlo digits.stablehlo
      python -m jaxcnn export --workdir RUN --to stablehlo digits.stablehlo --platforms cpu cuda tpu

    It takes uint8 images of the network's size, as many at once as one likes, and gives the outputs of the task, for a
    classifier logits and probabilities. docs/export.md shows how it is loaded. Weights alone, under the names of
    torchvision or timm, are written by `convert --to`.
    """
    from jaxcnn.evaluation.exported import USUAL
    from jaxcnn.evaluation.trained import Trained

    check_writable(arguments.file)
    trained = Trained(arguments.workdir, arguments.checkpoint)
    for path in trained.export(arguments.file, platforms=arguments.platforms or USUAL):
        print(path)
