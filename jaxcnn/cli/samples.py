"""The verb generate, and evaluate's measures of what is generated."""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Callable

from jaxcnn.cli.terminal import check_picture, counting, table, trusting


def add(verb: Callable) -> None:
    """Adds this verb; verb(function, name, help) gives its parser."""
    parser = verb(_generate, "generate", "write images that a trained network generates, as class folders")
    parser.add_argument("--workdir", required=True, help="the run directory")
    parser.add_argument(
        "--checkpoint", default="best", metavar="best|latest|STEP", help="default: best, of a game the latest"
    )
    parser.add_argument("--per-class", type=int, required=True, metavar="N", help="images of each class")
    parser.add_argument("--output", required=True, metavar="DIR", help="where they go; not there yet, or empty")
    parser.add_argument("--seed", type=int, default=0, help="of the codes; default: 0")
    parser.add_argument(
        "--class", dest="classes", nargs="+", default=[], metavar="NAME", help="of these classes; default: all"
    )
    trusting(parser)


def _generate(arguments):
    """Writes images of a trained generator as DIR/CLASS/NUMBER.png, and a contact sheet of the first as DIR.png:

      python -m jaxcnn generate --workdir RUN --per-class 500 --output generated
      python -m jaxcnn generate --workdir RUN --per-class 500 --class 3 --output generated

    The same seed gives the same files. A network whose images show no class (task gan) writes them to DIR/all, or to a
    folder of the name that --class gives. A classifier is trained on them too by --config.data.add=folder:DIR, and on
    them alone by --config.data.name=folder:DIR; evaluate --data then measures it on real images.
    """
    from jaxcnn.evaluation.samples import Generator, write_samples
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.visualize.caption import caption_of, write_caption
    from jaxcnn.visualize.figure import save_figure
    from jaxcnn.visualize.samples import draw_sheet

    folder = pathlib.Path(arguments.output)
    sheet = folder.with_name(f"{folder.name}.png")
    check_picture(sheet)
    generator = Generator(Trained(arguments.workdir, arguments.checkpoint), seed=arguments.seed)
    with counting("images") as report:
        options = {"per_class": arguments.per_class, "classes": arguments.classes, "report": report}
        first = write_samples(generator, folder, **options)
    figure = draw_sheet(list(first), list(first.values()))
    count = sum(map(len, first.values()))
    drawn = f"n = {count}, {arguments.per_class} a class, seed {arguments.seed}"
    write_caption(figure, caption_of(arguments.workdir, checkpoint=arguments.checkpoint, drawn=drawn))
    save_figure(figure, sheet)
    print(f"{folder}\n{sheet}")


def measure(arguments: argparse.Namespace) -> None:
    """Prints and logs the measures of samples of a run by a classifier, for `evaluate --classifier`."""
    from jaxcnn.evaluation.samples import COLUMNS, Generator, cells, measure_samples
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.training.rundir.evaluations import log_evaluation

    generator = Generator(Trained(arguments.workdir[0], arguments.checkpoint), seed=arguments.seed or 0)
    classifier = Trained(arguments.classifier)
    per_class = 500 if arguments.per_class is None else arguments.per_class
    options = {"per_class": per_class, "stage": arguments.stage or ""}
    found = measure_samples(generator, classifier, arguments.split, **options)
    run = generator.trained
    about = {"architecture": run.config.model.name, "step": run.step, "split": arguments.split}
    values = {**found._asdict(), "classes": [row._asdict() for row in found.classes]}
    row = {**about, "samples": {"classifier": str(classifier.workdir), "seed": generator.seed, **values}}
    log_evaluation(run.workdir, row)
    if arguments.json:
        print(json.dumps(row))
        return
    table(COLUMNS, [cells(row._asdict()) for row in found.classes])
    if found.accuracy is not None:
        print(f"samples called by their class by {classifier.workdir}: {found.accuracy:.2%}, mean over classes")
    print(
        f"Fréchet distance on {found.stage} of {classifier.workdir}, squared, to {arguments.split}: {found.frechet:.4g}"
    )
    for collapsed in (row for row in found.classes if row.collapsed):
        print(f"collapse: the samples of {collapsed.name} are nearly one image")
