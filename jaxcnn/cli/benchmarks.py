"""The verb benchmark."""

from jaxcnn.cli.terminal import check_writable
from jaxcnn.errors import InputError


def add(verb):
    """Adds these verbs; verb(function, name, help) gives the parser of one."""
    add = verb(_benchmark, "benchmark", "time operators, training steps or the input beside other libraries")
    add.add_argument("kind", choices=("operators", "steps", "input", "augment", "population"), help="what to time")
    add.add_argument("--only", default="", metavar="TEXT", help="the rows with this text: a network, operator or shape")
    add.add_argument("--data", default="", metavar="folder:PATH", help="input: the photographs, in class folders")
    add.add_argument(
        "--needed", type=int, default=0, metavar="IMAGES/S", help="input: how many workers this rate takes"
    )
    add.add_argument("--rounds", type=int, default=7, help="measurements of each; default: 7")
    add.add_argument("--output", default=None, metavar="FILE.json", help="write rows, versions and devices there too")


def _benchmark(arguments):
    """Times work side by side, every contender in turn in every round.

    operators: each operator on shapes of real networks: ours, ours inside lax.scan (per iteration), XLA's plain
    lowering, and the better of PyTorch's two layouts where PyTorch is installed. A ratio is the median over the rounds,
    its quartiles in brackets; above 1 is slower.

    steps: whole training steps: time to compile, time of a step called and inside lax.scan, images/s, memory.

    input: images/s of each stage from file to device, and of the loader with 0, 1 and 2 workers beside PyTorch's
    DataLoader and tf.data, where they are installed; a ratio above 1 is faster.

    augment: each augmentation of a batch, and its share of a training step of resnet20.

    population: training steps of many runs in one program, over the time of the step alone.
    """
    from jaxcnn.benchmark import augment, operators, population, report, steps
    from jaxcnn.benchmark import input as pipeline

    if arguments.rounds < 1:
        raise InputError(f"--rounds is {arguments.rounds}; it is at least 1")
    if arguments.output:
        check_writable(arguments.output)
    options = {"only": arguments.only, "rounds": arguments.rounds}
    if arguments.kind == "steps":
        rows = steps.benchmark_steps(**options, report=lambda row: print(report.step_line(row), flush=True))
    elif arguments.kind == "augment":
        rows = augment.benchmark_augment(**options, report=lambda row: print(report.augment_line(row), flush=True))
    elif arguments.kind == "population":
        show = lambda row: print(report.population_line(row), flush=True)  # noqa: E731
        rows = population.benchmark_population(**options, report=show)
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
