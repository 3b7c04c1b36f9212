"""The verb compare: several runs side by side."""

from __future__ import annotations

import json
from collections.abc import Callable

from jaxcnn.cli.terminal import check_picture, table


def add(verb: Callable) -> None:
    """Adds this verb; verb(function, name, help) gives its parser."""
    parser = verb(_compare, "compare", "tabulate the final evaluations of runs and draw their curves over one another")
    parser.add_argument("workdir", nargs="+", metavar="RUN", help="run directories, of one kind of task")
    words = "where to draw the curves; the suffix names the format; default: compare.png"
    parser.add_argument("--output", default="compare.png", metavar="FILE.png", help=words)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _compare(arguments):
    """Tabulates the last test evaluation of each run (else its best held-out one), and draws their curves:

      python -m jaxcnn compare runs/a runs/b --output compare.png

    An accuracy has n and Wilson's 95 % interval, of these images under one network: not the spread over seeds, which a
    study measures.
    """
    from jaxcnn.visualize.caption import caption_of_runs, write_caption
    from jaxcnn.visualize.comparison import comparison_table, final_evaluations
    from jaxcnn.visualize.figure import save_figure
    from jaxcnn.visualize.run_curves import draw_runs, read_runs

    check_picture(arguments.output)
    runs, kind = read_runs(arguments.workdir)
    found = final_evaluations(arguments.workdir, kind)
    figure = draw_runs(runs, kind)
    write_caption(figure, caption_of_runs(arguments.workdir))
    save_figure(figure, arguments.output, description=" ".join(("jaxcnn compare", *runs)))
    if arguments.json:
        print(json.dumps({"runs": found, "curves": arguments.output}))
        return
    table(*comparison_table(found, kind))
    print(arguments.output)
