"""The command line: `python -m jaxcnn VERB ...`; each verb imports what it needs."""

import argparse
import json
import logging
import os
import sys
import traceback

from jaxcnn.errors import InputError
from jaxcnn.process import tune_for_cpu

EXIT_INPUT, EXIT_INTERRUPTED = 2, 130


def main(argv=None):
    """Runs one verb; returns the exit code: 0, 1 (a run failed), 2 (wrong input), 143 or 130 (SIGTERM, Ctrl-C)."""
    arguments, rest = _parser().parse_known_args(sys.argv[1:] if argv is None else argv)
    tune_for_cpu()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax logs a traceback before it raises
    try:
        if rest and arguments.verb is not _train:
            raise InputError(
                f"not an argument of this verb: {' '.join(rest)}; see python -m jaxcnn {arguments.name} --help"
            )
        arguments.config_arguments = rest
        return arguments.verb(arguments) or 0
    except InputError as error:
        if os.environ.get("JAXCNN_TRACEBACK"):
            traceback.print_exc()
        print(f"jaxcnn: {error}", file=sys.stderr)
        return EXIT_INPUT
    except KeyboardInterrupt:
        print("jaxcnn: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser():
    parser = argparse.ArgumentParser(
        prog="jaxcnn",
        allow_abbrev=False,
        description="Trains, evaluates and compares "
        "convolutional networks. JAXCNN_TRACEBACK=1 shows where an error came from.",
    )
    verbs = parser.add_subparsers(dest="name", metavar="VERB", required=True)

    def verb(function, name, text):
        added = verbs.add_parser(
            name,
            help=text,
            description=function.__doc__,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(verb=function)
        return added

    _add_train(verb(_train, "train", "train a network as a config says, or resume a run"))
    add = verb(_evaluate, "evaluate", "accuracy of a trained network on a split")
    _add_run(add)
    add.add_argument(
        "--split", choices=("validation", "test", "train"), default="validation", help="default: validation"
    )
    add = verb(_predict, "predict", "label images with a trained network")
    _add_run(add)
    add.add_argument("images", nargs="+", metavar="IMAGE", help="image files, or folders of images")
    _add_summary(verb(_summary, "summary", "layers, parameters, MACs, memory and receptive fields of architectures"))
    add = verb(_frontier, "frontier", "draw error against operations")
    add.add_argument("--output", required=True, metavar="FILE.png", help="where to draw; the suffix names the format")
    add.add_argument("--workdir", nargs="+", default=[], metavar="RUN", help="these runs, not the published errors")
    add.add_argument("--json", action="store_true", help="print the points as one JSON object")
    add = verb(_prepare, "prepare", "download and prepare a TFDS data set (extra: prepare)")
    add.add_argument("dataset", metavar="tfds:NAME", help="for example tfds:cifar10")
    add.add_argument("--data_dir", default=None, help="where to put it; default: TFDS's own")
    add = verb(_report, "report", "write report.html and curves.png of a run")
    add.add_argument("--workdir", required=True, help="the run directory")
    add = verb(_sweep, "sweep", "run a study")
    add.add_argument("study", metavar="experiments/NAME.py", help="a file with study()")
    add.add_argument("--workdir", required=True, help="where runs, results.csv and report.html go")
    add.add_argument(
        "--runner",
        choices=("local", "population"),
        default="local",
        help="population: runs that differ only in seed and in numbers train together in one program; default: local",
    )
    _add_convert(verb(_convert, "convert", "weights trained elsewhere as a run directory, and back"))
    add = verb(_audit, "audit", "recompute every number that papers and lectures print")
    add.add_argument("names", nargs="*", metavar="NAME", help="architectures, or 'lectures'; default: all")
    add.add_argument("--json", action="store_true", help="print one JSON object")
    add = verb(_benchmark, "benchmark", "time operators beside plain XLA and PyTorch, training steps, or populations")
    add.add_argument("kind", choices=("operators", "steps", "population"), help="what to time")
    add.add_argument("--only", default="", metavar="TEXT", help="the rows with this text: a network, operator or shape")
    add.add_argument("--rounds", type=int, default=7, help="measurements of each; default: 7")
    add.add_argument("--output", default=None, metavar="FILE.json", help="write rows, versions and devices there too")
    return parser


def _add_run(parser):
    parser.add_argument("--workdir", required=True, help="the run directory")
    parser.add_argument(
        "--checkpoint", default="best", metavar="best|latest|STEP", help="default: best on the held-out slice"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


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
    parser.add_argument("file", help=".safetensors, .pth, .pt or .caffemodel; with --to the .safetensors to write")
    names = {"choices": ("torchvision", "timm", "caffe"), "help": "whose names the file has"}
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--from", dest="source", **names)
    which.add_argument("--to", dest="target", **names)
    parser.add_argument("--workdir", required=True, help="the run directory to write; with --to the one to read")
    parser.add_argument("--architecture", default=None, help="our name of it; with --from")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="an option of it")
    parser.add_argument("--data", default="", help="the data set to evaluate on; its classes name the outputs")
    parser.add_argument("--data_dir", default="", help="where TFDS sets lie")
    parser.add_argument("--classes", default=None, metavar="FILE", help="names of the outputs, one a line")
    parser.add_argument("--mean", default=None, metavar="M,M,M", help="on the [0, 1] scale; default: the usual ones")
    parser.add_argument("--std", default=None, metavar="S,S,S", help="on the [0, 1] scale; default: the usual ones")


def _add_train(parser):
    parser.add_argument("--workdir", default=None, help="the run directory; a run that is there is resumed")
    parser.add_argument(
        "--check",
        action="store_true",
        help="only run the teacher's checks: loss at chance, regularisation, 20 images overfitted",
    )
    parser.add_argument("--dry_run", action="store_true", help="only print shapes, parameters and memory")
    parser.add_argument(
        "--profile",
        type=int,
        default=0,
        metavar="STEPS",
        help="write a jax.profiler trace of this many steps to WORKDIR/profile",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument(
        "--coordinator",
        default=None,
        metavar="HOST:PORT",
        help="of a run of several processes; found by itself under SLURM, on TPUs and on Kubernetes",
    )
    parser.add_argument("--processes", type=int, default=None, help="how many processes, with --coordinator")
    parser.add_argument("--process", type=int, default=None, help="the number of this one, with --coordinator")


def _train(arguments):
    """Trains as a config says:

      python -m jaxcnn train --config=configs/NAME.py --config.optimizer.learning_rate=0.1 --workdir=DIR

    Any key of the config can be given as --config.key=value; jaxcnn/training/config.py lists them all. The same command
    resumes a run that was broken off. It ends with one evaluation on the test split and a report.
    """
    from jaxcnn.training.distributed import join_processes

    join_processes(arguments.coordinator, arguments.processes, arguments.process)
    import jax

    from jaxcnn.training.config import load_config
    from jaxcnn.training.loop import Preempted, train

    config = load_config(arguments.config_arguments)
    if arguments.check:
        return _check(config)
    if arguments.dry_run:
        return _dry_run(config)
    if not arguments.workdir:
        raise InputError("name a run directory: --workdir=DIR")
    try:
        train(config, arguments.workdir, quiet=arguments.quiet, profile=arguments.profile)
    except Preempted as stop:
        print(f"jaxcnn: {stop}", file=sys.stderr)
        return 128 + stop.signal
    if jax.process_index() == 0:
        from jaxcnn.visualize.collect import write_report

        print(write_report(arguments.workdir))


def _check(config):
    from jaxcnn.training.check import teacher_checks

    return int(any(row["passed"] is False for row in teacher_checks(config)))


def _dry_run(config):
    from jaxcnn.training.dry_run import describe

    for line in describe(config):
        print(line)


def _evaluate(arguments):
    """Evaluates a trained network; the result is printed and logged in the run's evaluations.jsonl."""
    from jaxcnn.training.trained import Trained

    _, row = Trained(arguments.workdir, arguments.checkpoint).evaluate(arguments.split)
    if arguments.json:
        print(json.dumps(row))
        return
    top5 = "" if row["top5"] is None else f", top-5 {row['top5']:.4f}"
    print(
        f"{row['architecture']}, step {row['step']}, {row['split']}: n {row['n']}, loss {row['loss']:.4f}, "
        f"top-1 {row['top1']:.4f}{top5}"
    )
    _table(
        ("class", "accuracy"),
        [(name, "no images" if v is None else f"{v:.4f}") for name, v in row["per_class"].items()],
    )


def _predict(arguments):
    """Labels image files, or all images below folders, with a trained network."""
    from jaxcnn.training.trained import Trained

    predictions = Trained(arguments.workdir, arguments.checkpoint).predict(arguments.images)
    if arguments.json:
        print(json.dumps({"predictions": predictions}))
        return
    _table(
        ("file", "label", "probability"),
        [(p["file"], p["label"], f"{p['probabilities'][p['label']]:.4f}") for p in predictions],
    )


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
    from jaxcnn.architectures import CLAIMS, create
    from jaxcnn.errors import input_errors

    if arguments.batch < 1:
        raise InputError(f"--batch is {arguments.batch}; it is at least 1")
    with input_errors("summary"):
        model = create(name, **dict(_option(text) for text in arguments.option))
        claim = CLAIMS.get(name)
        if arguments.input is None and claim is None:
            raise InputError(f"no paper states the input of {name}: give --input H,W,C")
        channels = 3 if claim is None else claim.input[2]
        shape = claim.input if arguments.input is None else _shape(arguments.input, channels)
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


def _prepare(arguments):
    """Downloads a data set and writes it as array_record files by tensorflow-datasets; needs the extra `prepare`."""
    from jaxcnn.data.prepare import prepare

    print(prepare(arguments.dataset, data_dir=arguments.data_dir))


def _report(arguments):
    """Writes report.html, one self-contained page, and curves.png into a run directory."""
    from jaxcnn.visualize.collect import write_report

    print(write_report(arguments.workdir))


def _sweep(arguments):
    """Runs the study of a file, one run after another, skipping what is done; ends with a table and report.html."""
    import rich.console

    from jaxcnn.sweeps import load_study, run_study
    from jaxcnn.sweeps.runner import results_table
    from jaxcnn.training.preemption import Preempted

    study, docstring = load_study(arguments.study)
    title = docstring.strip().splitlines()[0] if docstring.strip() else arguments.study
    try:
        cells, failed = run_study(study, arguments.workdir, title=title, docstring=docstring, runner=arguments.runner)
    except Preempted as stop:
        print(f"jaxcnn: {stop}", file=sys.stderr)
        return 128 + stop.signal
    rich.console.Console(highlight=False).print(results_table(cells))
    print(f"{arguments.workdir}/report.html")
    for run, error in failed.items():
        print(f"jaxcnn: {run} failed: {error}", file=sys.stderr)
    return int(bool(failed))


def _convert(arguments):
    """Converts weights that were trained elsewhere into a run directory, which evaluate and predict open:

      python -m jaxcnn convert --from torchvision --architecture resnet50_v1_5 resnet50.pth --workdir runs/resnet50

    or, with --to, writes those of a run as safetensors under the other's names.
    """
    import pathlib

    from jaxcnn.transfer import convert, export

    if arguments.target:
        count = export(arguments.workdir, arguments.file, source=arguments.target)
        print(f"{count} tensors in {arguments.file}")
        return
    if not arguments.architecture:
        raise InputError("name the architecture that the weights are for: --architecture NAME")
    try:
        classes = None if arguments.classes is None else pathlib.Path(arguments.classes).read_text().splitlines()
    except OSError as error:
        raise InputError(f"--classes {arguments.classes} cannot be read: {error.strerror}") from error
    count = convert(
        arguments.source,
        arguments.architecture,
        arguments.file,
        arguments.workdir,
        options=dict(_option(text) for text in arguments.option),
        data=arguments.data,
        data_dir=arguments.data_dir,
        classes=classes,
        mean=_numbers("mean", arguments.mean),
        std=_numbers("std", arguments.std),
    )
    print(f"{arguments.architecture}: {count:,} parameters in {arguments.workdir}")


def _numbers(key, text):
    try:
        return None if text is None else tuple(map(float, text.split(",")))
    except ValueError as error:
        raise InputError(f"--{key} is '{text}'; it is numbers, as 0.485,0.456,0.406") from error


def _audit(arguments):
    """Recomputes the paper ledger; the exit code is 1 where a number drifted or its architecture is missing."""
    from jaxcnn.analysis.audit import run

    return run(arguments.names, as_json=arguments.json)


def _benchmark(arguments):
    """Times work side by side, every contender in turn in every round.

    operators: each operator on shapes of real networks: ours, ours inside lax.scan (per iteration), XLA's plain
    lowering, and the better of PyTorch's two layouts where PyTorch is installed. A ratio is the median over the rounds,
    its quartiles in brackets; above 1 is slower.

    steps: whole training steps: time to compile, time of a step called and inside lax.scan, images/s, memory.

    population: training steps of many runs in one program, over the time of the step alone.
    """
    from jaxcnn.benchmark import operators, population, report, steps

    if arguments.rounds < 1:
        raise InputError(f"--rounds is {arguments.rounds}; it is at least 1")
    if arguments.output:
        report.write(arguments.output, [])  # a path that cannot be written is found now
    options = {"only": arguments.only, "rounds": arguments.rounds}
    if arguments.kind == "steps":
        rows = steps.benchmark_steps(**options, report=lambda row: print(report.step_line(row), flush=True))
    elif arguments.kind == "population":
        rows = population.benchmark_population(
            **options, report=lambda row: print(report.population_line(row), flush=True)
        )
    else:
        rows = operators.benchmark_operators(**options, report=lambda row: print(report.line(row), flush=True))
    if not rows:
        raise InputError(f"no row has '{arguments.only}' in it; without --only all are shown")
    if arguments.kind == "operators":
        print(report.totals_line(operators.summarize(rows)))
    if arguments.output:
        report.write(arguments.output, rows)


def _table(header, rows):
    import rich.console
    import rich.table

    table = rich.table.Table()
    for name in header:
        table.add_column(name, overflow="fold")  # a long path is needed whole
    for row in rows:
        table.add_row(*map(str, row))
    rich.console.Console(highlight=False).print(table)
