"""The verbs of one run: train, evaluate, report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from jaxcnn.cli import samples
from jaxcnn.cli.terminal import check_picture, check_writable, counting, table, trusting
from jaxcnn.errors import InputError
from jaxcnn.names import shown


def add(verb: Callable) -> None:
    """Adds these verbs; verb(function, name, help) gives the parser of one."""
    _add_train(verb(_train, "train", "train a network as a config says, or resume a run"))
    _add_evaluate(
        verb(_evaluate, "evaluate", "measure trained networks on a split, one view or many, alone or together")
    )
    add = trusting(verb(_report, "report", "write report.html and curves.png of a run"))
    add.add_argument("--workdir", required=True, help="the run directory")


def _add_train(parser):
    parser.set_defaults(takes_config=True)
    trusting(parser)
    parser.add_argument("--workdir", default=None, help="the run directory; a run that is there is resumed")
    before = parser.add_mutually_exclusive_group()
    before.add_argument(
        "--check",
        action="store_true",
        help="only run the teacher's checks: loss at chance, regularisation, 20 images overfitted",
    )
    before.add_argument("--dry-run", "--dry_run", action="store_true", help="only print shapes, parameters and memory")
    before.add_argument(
        "--find-rate",
        "--find_rate",
        default=None,
        metavar="FILE.png",
        help="only try learning rates from 1e-7 to 10 in 100 steps, suggest one and draw the losses there",
    )
    parser.add_argument(
        "--profile",
        type=int,
        default=0,
        metavar="STEPS",
        help="write a jax.profiler trace of this many steps to WORKDIR/profile",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument(
        "--allow-changed-code",
        action="store_true",
        help="resume a run though the code of yours that it names has changed since; both versions are kept",
    )
    parser.add_argument(
        "--extend",
        action="store_true",
        help="resume a run, finished or not, with a longer config.duration",
    )
    parser.add_argument(
        "--coordinator",
        default=None,
        metavar="HOST:PORT",
        help="of a run of several processes; found by itself under SLURM and Open MPI and on TPUs",
    )
    parser.add_argument("--processes", type=int, default=None, help="how many processes, with --coordinator")
    parser.add_argument("--process", type=int, default=None, help="the number of this one, with --coordinator")


def _add_evaluate(parser):
    _add_run(parser, nargs="+", metavar="RUN")
    parser.add_argument(
        "--split", choices=("validation", "test", "train"), default="validation", help="default: validation"
    )
    parser.add_argument(
        "--data", default="", metavar="NAME", help="another data set, or where that of the run lies now: folder:PATH"
    )
    parser.add_argument("--data_dir", default="", metavar="DIR", help="where TFDS sets lie; default: as the run had it")
    several = {"type": int, "nargs": "+", "default": []}
    parser.add_argument("--crops", choices=(1, 10, 12, 144), help="numbers of crops; default: 1", **several)
    parser.add_argument(
        "--scales",
        metavar="S",
        help="short sides in pixels; default: config.data.resize, or the crop's size (of several crops 8/7 of it)",
        **several,
    )
    parser.add_argument("--dense", action="store_true", help="evaluate the whole image, and its mirror image")
    parser.add_argument("--whole", action="store_true", help="of restored images: each at its own size; not logged")
    parser.add_argument("--output", default=None, metavar="FILE.csv", help="write the table there too")
    parser.add_argument("--classifier", default=None, metavar="RUN", help="measure generated images by this classifier")
    parser.add_argument("--per-class", type=int, default=None, metavar="N", help="generated images; default: 500")
    parser.add_argument("--seed", type=int, default=None, help="of generated images; default: 0")
    parser.add_argument(
        "--stage", default=None, help="of the classifier's features; default: the last before its logits"
    )


def _add_run(parser, **options):
    parser.add_argument("--workdir", required=True, help="the run directory", **options)
    parser.add_argument(
        "--checkpoint", default="best", metavar="best|latest|STEP", help="default: best on the held-out slice"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    trusting(parser)


def _train(arguments):
    """Trains as a config says:

      python -m jaxcnn train --config=configs/NAME.py --config.optimizer.learning_rate=0.1 --workdir=DIR

    Any key of the config can be given as --config.key=value; jaxcnn/training/config.py lists them all. The same command
    resumes a run that was broken off. It ends with one evaluation on the test split and a report. With --extend and a
    longer --config.duration a run, finished or not, resumes from its last state; nothing else may change. --check,
    --dry-run and --find-rate look at a config before a long run, and leave every run as it was.
    """
    from jaxcnn.training.processes.distributed import joined_processes

    with joined_processes(arguments.coordinator, arguments.processes, arguments.process):
        return _train_joined(arguments)


def _train_joined(arguments):
    import jax

    from jaxcnn.training.config import load_config
    from jaxcnn.training.train import Preempted, train

    config = load_config(arguments.config_arguments)
    if arguments.check:
        return _check(config)
    if arguments.dry_run:
        return _dry_run(config)
    if arguments.find_rate is not None:
        return _find_rate(config, arguments.find_rate)
    if not arguments.workdir:
        raise InputError("name a run directory: --workdir=DIR")
    try:
        train(
            config,
            arguments.workdir,
            quiet=arguments.quiet,
            profile=arguments.profile,
            extend=arguments.extend,
            allow_changed_code=arguments.allow_changed_code,
        )
    except Preempted as stop:
        print(f"jaxcnn: {stop}", file=sys.stderr)
        return 128 + stop.signal
    if jax.process_index() == 0:
        _write_report(arguments.workdir, quiet=arguments.quiet)


def _check(config):
    from jaxcnn.training.preflight.checks import teacher_checks

    return int(any(row["passed"] is False for row in teacher_checks(config)))


def _dry_run(config):
    from jaxcnn.training.preflight.dry_run import describe

    for line in describe(config):
        print(line)


def _find_rate(config, path):
    import jax

    from jaxcnn.training.preflight.rates import find_rate

    check_picture(path)
    with counting("steps") as report:
        found = find_rate(config, report=report)
    if jax.process_index() == 0:
        from jaxcnn.visualize.rate_test import draw_rate_test, rate_words

        title = f"{config.model.name or config.finetune.source} on {config.data.name}, {config.optimizer.name}"
        draw_rate_test(found, title=title, path=path)
        for words in rate_words(found):
            print(words)
        print(path)


def _evaluate(arguments):
    """Evaluates a trained network; the result is printed and logged in the run's evaluations.jsonl:

      python -m jaxcnn evaluate --workdir RUN --split test

    With --data it is that of another data set, or of the run's where it lies now. With --whole a network that restores
    images of any size is measured on each at its own size, as papers do; that is printed alone.

    With any of --crops, --scales, --dense, or several runs, all of which must give class probabilities, these are
    averaged: over the views of an image, its scales, and the members of an ensemble. One pass gives the errors of every
    protocol and every subset of the runs. jaxcnn/data/views.py says where the crops lie.

      python -m jaxcnn evaluate --workdir RUN --split test --crops 1 10 144
      python -m jaxcnn evaluate --workdir RUN RUN RUN --crops 10 --scales 256 384 512 --dense --output table.csv

    With --classifier the samples of a network that generates are measured: whether a classifier takes each for its
    class, their Fréchet distance to the real images of --split on its features, and how various those of a class are.

      python -m jaxcnn evaluate --workdir RUN --classifier CLASSIFIER_RUN --split test
    """
    from jaxcnn.evaluation.detected import detects
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.progress import waiting

    of_samples = [name for name in ("per_class", "seed", "stage") if getattr(arguments, name) is not None]
    if arguments.classifier is not None:
        return _measure_samples(arguments)
    if of_samples:
        raise InputError(f"--{of_samples[0].replace('_', '-')} is of generated images, which --classifier measures.")
    several = len(arguments.workdir) > 1 or arguments.crops or arguments.scales or arguments.dense or arguments.output
    if several and arguments.whole:
        raise InputError("--whole is of one run whose network restores images, without crops, scales or a table.")
    if several:
        return _evaluate_protocols(arguments)
    trained = Trained(arguments.workdir[0], arguments.checkpoint)
    if arguments.whole:
        return _evaluate_whole(trained, arguments)
    with waiting(f"evaluating {arguments.split}"):
        _, row = trained.evaluate(arguments.split, name=arguments.data, data_dir=arguments.data_dir)
    if arguments.json:
        print(json.dumps(row))
        return
    other = f" of {shown(row['data'])}" if "data" in row else ""
    scores = ", ".join((f"n {row['n']}", *_scores(row, arguments.workdir[0])))
    print(f"{row['architecture']}, step {row['step']}, {row['split']}{other}: {scores}")
    if "bleu_signature" in row:
        print(shown(f"BLEU by sacrebleu, {row['bleu_signature']}"))
    if "by_label" in row:
        _print_labels(row["by_label"])
    if "class_scores" in row:
        _print_classes(row["class_scores"])
    elif "per_class" in row:
        measure, none = ("AP at IoU 0.5", "no objects") if detects(trained) else ("accuracy", "no images")
        table(
            ("class", measure),
            [(name, none if v is None else f"{v:.4f}") for name, v in row["per_class"].items()],
        )
    if "calibration" in row:
        from jaxcnn.visualize.reliability import calibration_words

        fitted_here = row["split"] == "validation" and not other
        for words in calibration_words(row["calibration"], split=row["split"], fitted_here=fitted_here):
            print(words)


def _print_classes(scores):
    """The macro scores, and those of every class; its recall is its accuracy."""

    def number(value, missing):
        return missing if value is None else f"{value:.4f}"

    macro = ("precision", "recall", "f1")
    means = ", ".join(f"macro {'F1' if name == 'f1' else name} {number(scores[name], 'n/a')}" for name in macro)
    print(f"balanced accuracy {number(scores['balanced_accuracy'], 'n/a')}, {means}")
    lines = [
        (
            name,
            str(own["n"]),
            number(own["recall"], "no images"),
            number(own["precision"], "never predicted"),
            number(own["f1"], "n/a"),
        )
        for name, own in scores["by_class"].items()
    ]
    table(("class", "images", "accuracy (recall)", "precision", "F1"), lines)


def _print_labels(scores):
    names = ("average_precision", "precision", "recall", "f1")
    lines = [
        (name, str(own["n"]), *("n/a" if own[key] is None else f"{own[key]:.4f}" for key in names))
        for name, own in scores.items()
    ]
    table(("label", "images", "average precision", "precision", "recall", "F1"), lines)


def _measure_samples(arguments):
    several = len(arguments.workdir) > 1 or arguments.crops or arguments.scales or arguments.dense or arguments.output
    if several or arguments.whole or arguments.data or arguments.data_dir:
        raise InputError("--classifier measures the samples of one run: of the other options --split and --json fit.")
    return samples.measure(arguments)


def _evaluate_whole(trained, arguments):
    from jaxcnn.evaluation.whole import evaluate_whole

    with counting("images") as report:
        options = {"name": arguments.data, "data_dir": arguments.data_dir, "report": report}
        n, values, images = evaluate_whole(trained, arguments.split, **options)
    row = {"architecture": trained.config.model.name, "step": trained.step, "split": arguments.split, "n": n, **values}
    if arguments.json:
        print(json.dumps({**row, "images": images}))
        return
    scores = ", ".join((f"n {n}", *_scores(row, arguments.workdir[0])))
    print(f"{row['architecture']}, step {row['step']}, {row['split']}, whole images: {scores}")


def _scores(row, workdir):
    """Yields "top-1 0.5678" or "psnr 31.4159 dB" of each measure of the run that has a value."""
    from jaxcnn.training.rundir.about import measures_there
    from jaxcnn.visualize.report import COLUMNS

    _, measures, _ = measures_there(workdir)
    for name, measure in measures.items():
        if row.get(name) is not None:
            unit = "" if measure.unit in ("", "points") else f" {measure.unit}"
            number = f"{row[name]:.4g}" if measure.log else f"{row[name]:.4f}"
            yield shown(f"{COLUMNS.get(name, name)} {number}{unit}")


def _evaluate_protocols(arguments):
    from jaxcnn.evaluation.error_table import write_csv
    from jaxcnn.evaluation.protocols import evaluate_protocols

    if arguments.output:
        check_writable(arguments.output)
    with counting("images") as report:
        found = evaluate_protocols(
            arguments.workdir,
            arguments.split,
            crops=arguments.crops,
            scales=arguments.scales,
            dense=arguments.dense,
            checkpoint=arguments.checkpoint,
            name=arguments.data,
            data_dir=arguments.data_dir,
            report=report,
        )
    if arguments.output:
        write_csv(arguments.output, found.rows)
    if arguments.json:
        print(json.dumps({**found._asdict(), "rows": [row._asdict() for row in found.rows]}))
        return
    steps = ", ".join(f"{workdir} step {step}" for workdir, step in found.steps.items())
    print(f"{steps}, {found.split}: crops of an image: {found.views}, programs compiled: {found.compilations}")
    table(
        ("protocol", "networks", "subsets", "images", "top-1 error (%)", "top-5 error (%)"),
        [
            (*row[:4], _percent(row.top1_error, row.top1_std), _percent(row.top5_error, row.top5_std))
            for row in found.rows
        ],
    )


def _percent(mean, deviation):
    if mean is None:
        return "n/a"
    return f"{100 * mean:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


def _report(arguments):
    """Writes report.html, one self-contained page, and curves.png into a run directory."""
    _write_report(arguments.workdir)


def _write_report(workdir, *, quiet=False):
    from jaxcnn.progress import hushed, waiting

    with hushed(quiet), waiting(f"writing {workdir}/report.html"):
        from jaxcnn.visualize.collect import write_report

        written = write_report(workdir)
    print(written)
