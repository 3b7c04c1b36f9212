"""The command line: `python -m jaxcnn VERB ...`; each verb imports what it needs."""

import argparse
import contextlib
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
        if rest and not arguments.takes_config:
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
        added.set_defaults(verb=function, takes_config=False)
        return added

    _add_train(verb(_train, "train", "train a network as a config says, or resume a run"))
    add = verb(_statistics, "statistics", "mean, deviation and principal components of a config's training images")
    add.set_defaults(takes_config=True)
    add.add_argument("--json", action="store_true", help="print one JSON object")
    add = verb(_visualize, "visualize", "draw what augmentation makes of images")
    add.set_defaults(takes_config=True)
    add.add_argument("kind", choices=("augment",), help="augment: the contact sheet of a config")
    add.add_argument("--output", required=True, metavar="FILE.png", help="where to draw; the suffix names the format")
    _add_evaluate(
        verb(_evaluate, "evaluate", "accuracy of trained networks on a split, one view or many, alone or together")
    )
    add = verb(_predict, "predict", "label images with a trained network")
    _add_run(add)
    add.add_argument("images", nargs="+", metavar="IMAGE", help="image files, or folders of images")
    _add_summary(verb(_summary, "summary", "layers, parameters, MACs, memory and receptive fields of architectures"))
    add = verb(_frontier, "frontier", "draw error against operations")
    add.add_argument("--output", required=True, metavar="FILE.png", help="where to draw; the suffix names the format")
    add.add_argument("--workdir", nargs="+", default=[], metavar="RUN", help="these runs, not the published errors")
    add.add_argument("--json", action="store_true", help="print the points as one JSON object")
    _add_prepare(verb(_prepare, "prepare", "write a TFDS data set or an image folder as array_record files"))
    add = verb(_report, "report", "write report.html and curves.png of a run")
    add.add_argument("--workdir", required=True, help="the run directory")
    add = verb(_sweep, "sweep", "run a study")
    add.add_argument("study", metavar="experiments/NAME.py", help="a file with study()")
    add.add_argument("--workdir", required=True, help="where runs, results.csv, verdicts.json and report.html go")
    add.add_argument(
        "--scale", default=None, help="digits, mnist, cifar10, imagenet or folder:PATH; default: the study's own"
    )
    _add_convert(verb(_convert, "convert", "weights trained elsewhere as a run directory, and back"))
    add = verb(_audit, "audit", "recompute every number that papers and lectures print")
    add.add_argument("names", nargs="*", metavar="NAME", help="architectures, or 'lectures'; default: all")
    add.add_argument("--json", action="store_true", help="print one JSON object")
    add = verb(_benchmark, "benchmark", "time operators, training steps or the input beside other libraries")
    add.add_argument("kind", choices=("operators", "steps", "input", "augment"), help="what to time")
    add.add_argument("--only", default="", metavar="TEXT", help="the rows with this text: a network, operator or shape")
    add.add_argument("--data", default="", metavar="folder:PATH", help="input: the photographs, in class folders")
    add.add_argument(
        "--needed", type=int, default=0, metavar="IMAGES/S", help="input: how many workers this rate takes"
    )
    add.add_argument("--rounds", type=int, default=7, help="measurements of each; default: 7")
    add.add_argument("--output", default=None, metavar="FILE.json", help="write rows, versions and devices there too")
    return parser


def _add_evaluate(parser):
    _add_run(parser, nargs="+", metavar="RUN")
    parser.add_argument(
        "--split", choices=("validation", "test", "train"), default="validation", help="default: validation"
    )
    several = {"type": int, "nargs": "+", "default": []}
    parser.add_argument("--crops", choices=(1, 10, 12, 144), help="numbers of crops; default: 1", **several)
    parser.add_argument(
        "--scales",
        metavar="S",
        help="short sides in pixels; default: config.data.resize, or 8/7 of the crop's",
        **several,
    )
    parser.add_argument("--dense", action="store_true", help="evaluate the whole image, and its mirror image")
    parser.add_argument("--output", default=None, metavar="FILE.csv", help="write the table there too")


def _add_run(parser, **options):
    parser.add_argument("--workdir", required=True, help="the run directory", **options)
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


def _add_prepare(parser):
    parser.add_argument("dataset", metavar="SET", help="tfds:NAME, for example tfds:cifar10, or folder:PATH")
    parser.add_argument("--data_dir", default=None, metavar="DIR", help="where to put it; default: TFDS's own")
    parser.add_argument(
        "--manual_dir",
        default=None,
        metavar="DIR",
        help="of a tfds: set whose files you download yourself: where they lie; default: DATA_DIR/downloads/manual",
    )
    parser.add_argument(
        "--name", dest="set_name", default=None, metavar="NAME", help="of a folder: how to call the set; default: as it"
    )
    parser.add_argument(
        "--size", type=int, default=None, metavar="S", help="of a folder: scale larger images to this short side"
    )
    parser.add_argument(
        "--on_error",
        choices=("raise", "skip"),
        default="raise",
        help="of a folder: leave out files that cannot be decoded; default: raise",
    )


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
    parser.set_defaults(takes_config=True)
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


def _statistics(arguments):
    """Prints what normalisation and PCA lighting need, measured on the training slice of a config, on the [0, 1] scale:

      python -m jaxcnn statistics --config=configs/NAME.py

    The lines can be given to train as they are; without config.augment.pca lighting takes ImageNet's components.
    """
    from jaxcnn.training.config import load_config
    from jaxcnn.training.statistics import measure

    found = {
        name: [float(f"{x:.6g}") for x in values]
        for name, values in measure(load_config(arguments.config_arguments)).items()
    }
    if arguments.json:
        print(json.dumps(found))
        return
    for name in ("mean", "std"):
        print(f"--config.data.{name}={','.join(map(str, found[name]))}")
    if found["pca"]:
        print(f'--config.augment.pca="{tuple(found["pca"])}"')


def _visualize(arguments):
    """Draws the contact sheet of augmentations:

      python -m jaxcnn visualize augment --config=configs/NAME.py --config.augment.recipe=vgg --output=sheet.png

    Above: training images of the config and eight draws each of what its augmentation makes of them. Below: every
    operation that config.augment.operations may name, at three magnitudes.
    """
    from jaxcnn.training.config import load_config
    from jaxcnn.visualize.augmentations import contact_sheet
    from jaxcnn.visualize.figure import save_figure

    figure = contact_sheet(load_config(arguments.config_arguments))
    try:
        save_figure(figure, arguments.output)
    except (OSError, ValueError) as error:
        raise InputError(f"{arguments.output} cannot be drawn: {error}") from error
    print(arguments.output)


def _evaluate(arguments):
    """Evaluates a trained network; the result is printed and logged in the run's evaluations.jsonl:

      python -m jaxcnn evaluate --workdir RUN --split test

    With any of --crops, --scales, --dense, or several runs, the errors are those of averaged probabilities: of the
    views of an image, of its scales, of the members of an ensemble, every protocol and every subset of the runs from
    one pass. jaxcnn/data/views.py says where the crops lie.

      python -m jaxcnn evaluate --workdir RUN --split test --crops 1 10 144
      python -m jaxcnn evaluate --workdir RUN RUN RUN --crops 10 --scales 256 384 512 --dense --output table.csv
    """
    from jaxcnn.training.trained import Trained

    if len(arguments.workdir) > 1 or arguments.crops or arguments.scales or arguments.dense or arguments.output:
        return _evaluate_protocols(arguments)
    _, row = Trained(arguments.workdir[0], arguments.checkpoint).evaluate(arguments.split)
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


def _evaluate_protocols(arguments):
    from jaxcnn.training.protocols import evaluate_protocols
    from jaxcnn.training.tally import write_csv

    if arguments.output:
        write_csv(arguments.output, [])  # a path that cannot be written is found now
    with _counting("images") as report:
        table = evaluate_protocols(
            arguments.workdir,
            arguments.split,
            crops=arguments.crops,
            scales=arguments.scales,
            dense=arguments.dense,
            checkpoint=arguments.checkpoint,
            report=report,
        )
    if arguments.output:
        write_csv(arguments.output, table.rows)
    if arguments.json:
        print(json.dumps({**table._asdict(), "rows": [row._asdict() for row in table.rows]}))
        return
    steps = ", ".join(f"{workdir} step {step}" for workdir, step in table.steps.items())
    print(f"{steps}, {table.split}: crops of an image: {table.views}, programs compiled: {table.compilations}")
    _table(
        ("protocol", "networks", "subsets", "images", "top-1 error (%)", "top-5 error (%)"),
        [
            (*row[:4], _percent(row.top1_error, row.top1_std), _percent(row.top5_error, row.top5_std))
            for row in table.rows
        ],
    )


def _percent(mean, deviation):
    if mean is None:
        return "n/a"
    return f"{100 * mean:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


@contextlib.contextmanager
def _counting(what):
    """Gives report(done, total): a bar on a terminal, elsewhere a line for every tenth."""
    import rich.console
    import rich.progress

    console = rich.console.Console(file=sys.stderr, highlight=False)
    tenths = [0]

    def line(done, total):
        if 10 * done // total > tenths[0]:
            tenths[0] = 10 * done // total
            console.print(f"{done}/{total} {what}")

    if not console.is_terminal:
        yield line
        return
    with rich.progress.Progress(console=console) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


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
    """Writes a data set as array_record files, which training reads by the name tfds:NAME; prints where it is:

      python -m jaxcnn prepare tfds:cifar10 --data_dir data
      python -m jaxcnn prepare tfds:imagenet2012 --data_dir data --manual_dir downloads
      python -m jaxcnn prepare folder:photos --data_dir data --size 256

    tfds: downloaded and prepared by tensorflow-datasets; needs the extra `prepare`. Of imagenet2012 you download
    ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar yourself into the manual_dir.

    folder: class folders of images in few large files, without TensorFlow: the same records, order, splits and classes.
    JPEG and PNG are stored as they are, other files without loss as PNG; with --size S an image whose short side is
    longer becomes a JPEG of quality 95 with a short side of S pixels. The same command goes on where one was killed.
    """
    from jaxcnn.data.prepare import prepare

    options = {key: getattr(arguments, key) for key in ("data_dir", "manual_dir", "size", "on_error")}
    print(prepare(arguments.dataset, name=arguments.set_name, **options))


def _report(arguments):
    """Writes report.html, one self-contained page, and curves.png into a run directory."""
    from jaxcnn.visualize.collect import write_report

    print(write_report(arguments.workdir))


def _sweep(arguments):
    """Runs the study of a file, one run after another, skipping what is done.

    It ends with a table, a sentence for each claim of the study, and report.html.
    """
    import rich.console

    from jaxcnn.sweeps import load_study, run_study
    from jaxcnn.sweeps.results import results_table
    from jaxcnn.sweeps.verdicts import findings
    from jaxcnn.training.preemption import Preempted

    study, docstring = load_study(arguments.study, arguments.scale)
    title = docstring.strip().splitlines()[0] if docstring.strip() else arguments.study
    try:
        cells, failed = run_study(study, arguments.workdir, title=title, docstring=docstring)
    except Preempted as stop:
        print(f"jaxcnn: {stop}", file=sys.stderr)
        return 128 + stop.signal
    found = findings(study, cells)
    rich.console.Console(highlight=False).print(results_table(found))
    for claim in found["claims"]:
        print(f"{claim['text']}\n  {claim['sentence']}")
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

    input: images/s of each stage from file to device, and of the loader with 0, 1 and 2 workers beside PyTorch's
    DataLoader and tf.data, where they are installed; a ratio above 1 is faster.

    augment: each augmentation of a batch, and its share of a training step of resnet20.
    """
    from jaxcnn.benchmark import augment, operators, report, steps
    from jaxcnn.benchmark import input as pipeline

    if arguments.rounds < 1:
        raise InputError(f"--rounds is {arguments.rounds}; it is at least 1")
    if arguments.output:
        report.write(arguments.output, [])  # a path that cannot be written is found now
    options = {"only": arguments.only, "rounds": arguments.rounds}
    if arguments.kind == "steps":
        rows = steps.benchmark_steps(**options, report=lambda row: print(report.step_line(row), flush=True))
    elif arguments.kind == "augment":
        rows = augment.benchmark_augment(**options, report=lambda row: print(report.augment_line(row), flush=True))
    elif arguments.kind == "input":
        show = lambda row: print(report.input_line(row), flush=True)  # noqa: E731
        rows = pipeline.benchmark_input(folder=arguments.data, **options, report=show)
    else:
        rows = operators.benchmark_operators(**options, report=lambda row: print(report.line(row), flush=True))
    if not rows:
        raise InputError(f"no row has '{arguments.only}' in it; without --only all are shown")
    if arguments.kind == "operators":
        print(report.totals_line(operators.summarize(rows)))
    if arguments.kind == "input" and arguments.needed and (found := pipeline.workers_needed(rows, arguments.needed)):
        print(report.needed_line(arguments.needed, found))
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
