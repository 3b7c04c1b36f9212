"""The verb of studies: sweep."""

from __future__ import annotations

import argparse
import pathlib
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jaxcnn.cli import slurm
from jaxcnn.cli.terminal import refuse, table, trusting
from jaxcnn.errors import InputError
from jaxcnn.shipped import shipped

if TYPE_CHECKING:
    from jaxcnn.sweeps.study import Study

LOCAL = {  # option: its help; all of them are counts
    "jobs": "runs at a time; default: one on each accelerator, or one",
    "per-device": "runs that share an accelerator; default: 1",
    "retries": "further starts of a run whose process died or was told to end by another; default: 0",
}
STATES = ("done", "running", "stopped", "failed", "waiting")
SEEDS = {  # option: its help; all of them of how many seeds there are
    "until": "decided: add seeds in rounds until every claim is decided or the --budget ends",
    "budget": "time of all rounds together, as 2h or 1h30m",
    "effect": "with --plan: the true difference, in the unit of the metric; default: the margin, or the observed one",
}


def add(verb: Callable) -> None:
    """Adds these verbs; verb(function, name, help) gives the parser of one."""
    add_options(verb(_sweep, "sweep", "run a study or a search: here, on every device, in one program or on SLURM"))


def add_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser of sweep's options, for another verb that sweeps too."""
    parser.add_argument(
        "study", metavar="experiments/NAME.py", help="a file with study() or search(), or NAME of one of ours"
    )
    parser.add_argument("--workdir", required=True, help="where runs, results.csv, verdicts.json and report.html go")
    parser.add_argument(
        "--scale",
        default=None,
        help="digits, mnist, cifar10-subset, cifar10, imagenet or folder:PATH; default: the study's own",
    )
    trusting(parser)
    parser.add_argument("--runner", choices=("local", "population", "slurm"), default="local", help="default: local")
    local = parser.add_argument_group("runner local")
    for name, text in LOCAL.items():
        local.add_argument(f"--{name}", type=int, default=None, metavar="N", help=text)
    slurm.add_options(parser)
    seeds = parser.add_argument_group("how many seeds")
    kinds: dict[str, Any] = {"until": {"choices": ("decided",)}, "effect": {"type": float}}
    for name, text in SEEDS.items():
        seeds.add_argument(f"--{name}", default=None, help=text, **kinds.get(name, {}))
    seeds.add_argument(
        "--plan", action="store_true", help="what the claims would take; of 3 seeds where none are there"
    )
    parts = parser.add_argument_group("parts of a study")
    parts.add_argument("--run", default=None, metavar="ID", help="only this run; the id is its row in results.csv")
    parts.add_argument("--collect", action="store_true", help="only write table and report of what is there")
    parts.add_argument("--status", action="store_true", help="only say how far every run is")
    search = parser.add_argument_group("search")
    search.add_argument("--storage", default="", help="Optuna's storage: a URL or journal:FILE; default: SQLite")
    return parser


def _sweep(arguments):
    """Runs the study of a file, skipping what is done; it ends with a table, a sentence for each claim and report.html:

      python -m jaxcnn sweep experiments/digits.py --workdir runs/digits
      python -m jaxcnn sweep experiments/digits.py --workdir runs/digits --jobs 4 --retries 1
      ./launch.sh sweep experiments/digits.py --workdir /shared/digits --runner slurm --partition gpu --gpus-per-task 1

    --runner population trains runs that differ only in their seed and in numbers in one program, then the others.
    A file with analyse(study, workdir) as well says more when every run is done: of ensembles, for example.
    --until decided adds seeds where claims are open, with verdicts that hold whenever it ends (docs/statistics.md).
    The same command resumes where it was interrupted. A file with search() instead is a search by Optuna: the same
    command started again, here or on a machine that shares the directory, joins in.
    """
    from jaxcnn.sweeps.study import load_module

    module = load_module(arguments.study)
    if hasattr(module, "search"):
        return _search(module, arguments)
    if arguments.run is not None:
        refuse(arguments, (*LOCAL, *slurm.NAMES, "collect", "status"), "not for --run, which trains one run here")
        if arguments.runner != "local":
            raise InputError(f"--run trains one run here; leave --runner {arguments.runner} out.")
    if arguments.runner != "local":
        refuse(arguments, LOCAL, "for --runner local")
    if arguments.runner != "slurm":
        refuse(arguments, slurm.NAMES, "for --runner slurm")
    refuse(arguments, ("storage",), "for searches")
    if arguments.status:
        refuse(arguments, (*LOCAL, *SEEDS, "plan", "collect"), "not for --status, which only reads")
    _check_seeds(arguments)
    return _study(module, arguments)


def _check_seeds(arguments):
    """Raises InputError for options of SEEDS that do nothing, or that this runner or another option rules out."""
    if arguments.until is None:
        refuse(arguments, ("budget",), "for --until decided")
    if not arguments.plan:
        refuse(arguments, ("effect",), "for --plan")
    elif arguments.effect is not None and not arguments.effect > 0:
        raise InputError(f"--effect is {arguments.effect}; the size of a difference is positive, a ratio too.")
    if arguments.until or arguments.plan:
        word = "--until" if arguments.until else "--plan"
        if arguments.runner == "slurm":
            raise InputError(f"{word} is for the runners local and population, which wait for their runs.")
        refuse(arguments, ("run",), f"of one run; leave {word} out")
    if arguments.plan:
        refuse(arguments, ("until", "collect"), "not for --plan, which writes no table and no report")
    elif arguments.until and arguments.budget is None and not arguments.collect:
        raise InputError("--until decided needs a --budget, as 2h: a claim that is nearly a tie takes any time.")


def _study(module, arguments):
    from jaxcnn.sweeps.study import study_of

    return run(module, study_of(module, arguments.scale), arguments)


def run(module: types.ModuleType, study: Study, arguments: argparse.Namespace) -> int:
    """What `sweep` does with the study of a module: the options of its parser say what; the exit code."""
    from jaxcnn.sweeps.study import slips_named
    from jaxcnn.sweeps.summary import add_analysis
    from jaxcnn.training.processes.preemption import Preempted

    docstring = module.__doc__ or ""
    title = docstring.strip().splitlines()[0] if docstring.strip() else arguments.study
    try:
        if arguments.run is not None:
            return _one(study, arguments)
        if arguments.status:
            return _status(study, arguments)
        if arguments.runner == "slurm" and not arguments.collect:
            return slurm.submit_study(study, arguments, _itself(arguments))
        if arguments.plan:
            return _plan(study, arguments)
        study, cells, left, ended = _run(study, arguments, title=title, docstring=docstring)
    except Preempted as stop:
        print(f"jaxcnn: {stop}", file=sys.stderr)
        return 128 + stop.signal
    _show(study, arguments.workdir, cells, left)
    if ended:
        print(ended)
    if hasattr(module, "analyse") and not left:
        workdir, lines = pathlib.Path(arguments.workdir), []
        with slips_named(module.__file__):
            for line in module.analyse(study, workdir):
                print(line)
                lines.append(line)
        add_analysis(workdir, lines)
    return int(bool(left))


def _run(study, arguments, **about):
    """(The study with all its seeds, its cells, the states of runs without a result, why its rounds ended or "")."""
    from jaxcnn.sweeps.rounds import grown, run_until_decided, seconds_of
    from jaxcnn.sweeps.runner import collect, run_study

    if arguments.collect:
        study = grown(study, arguments.workdir) if arguments.until else study
        return study, *collect(study, arguments.workdir, **about), ""
    options = {**_places(arguments), **about}
    if arguments.until:
        return run_until_decided(study, arguments.workdir, budget=seconds_of(arguments.budget), **options)
    return study, *run_study(study, arguments.workdir, **options), ""


def _places(arguments):
    """Where runs train: the options `workers` and `population` of run_study."""
    from jaxcnn.sweeps.local import Workers, slots

    if arguments.runner == "population":  # this process has the devices: no other one can train beside it
        return {"population": True}
    places = slots(arguments.jobs or 0, per_device=1 if arguments.per_device is None else arguments.per_device)
    command, retries = [sys.executable, "-m", "jaxcnn", *_itself(arguments), "--run"], arguments.retries or 0
    return {"workers": Workers(command, places, retries) if len(places) > 1 or retries else None}


def _plan(study, arguments):
    from jaxcnn.files import local_path
    from jaxcnn.sweeps.planning import HEADER, pilot, plan, with_pilot
    from jaxcnn.sweeps.rounds import FILE, grown
    from jaxcnn.sweeps.runner import read_runs, train_study

    if not study.claims:
        raise InputError("the study has no claims: there is nothing to plan. Leave --plan out.")
    workdir, left = local_path(arguments.workdir), {}
    study = with_pilot(grown(study, workdir) if (workdir / FILE).exists() else study)
    if (first := pilot(study, workdir)).runs():
        train_study(first, workdir, **_places(arguments))
        left = read_runs(first, workdir)[1]
    table(HEADER, plan(study, workdir, effect=arguments.effect))
    _tell_left(left)
    return int(bool(left))


def _itself(arguments):
    """This verb with its study, for another process."""
    scale = ["--scale", arguments.scale] if arguments.scale else []
    study = shipped("experiments", arguments.study)  # found by its name here: the process that begins has a path
    places = [str(pathlib.Path(path).absolute()) for path in (study, arguments.workdir)]
    trusted = [word for name in arguments.trust_code for word in ("--trust-code", name)]
    return ["sweep", places[0], "--workdir", places[1], *scale, *trusted]


def _show(study, workdir, cells, left):
    import rich.console

    from jaxcnn.sweeps.results import results_table
    from jaxcnn.sweeps.verdicts import findings

    found = findings(study, cells)
    rich.console.Console(highlight=False).print(results_table(study, found))
    for claim in found["claims"]:
        print(f"{claim['text']}\n  {claim['sentence']}")
    print(f"{workdir}/report.html")
    _tell_left(left)


def _tell_left(left):
    """Names the runs that failed, and counts those that have not ended."""
    failed = {run: state for run, state in left.items() if state.startswith("failed")}
    for run, state in failed.items():
        print(f"jaxcnn: {run} {state}", file=sys.stderr)
    if others := [state for run, state in left.items() if run not in failed]:
        print(f"jaxcnn: without a result: {_counted(others)}", file=sys.stderr)


def _counted(states):
    """ "3 done, 1 failed, 2 waiting": how many of each state."""
    names = [state.partition(":")[0] for state in states]
    return ", ".join(f"{names.count(name)} {name}" for name in STATES if name in names)


def _one(study, arguments):
    """One run by its id: a worker of another process, a task of a cluster, or a repetition by hand."""
    from jaxcnn.sweeps.worker import end_with_parent, find_run, run_one
    from jaxcnn.training.processes.distributed import joined_processes

    with joined_processes() as failed:
        end_with_parent()
        error = run_one(find_run(study, arguments.run), pathlib.Path(arguments.workdir), quiet=False)
        if error:
            print(f"jaxcnn: {arguments.run} failed: {error}", file=sys.stderr)
            failed()
    return int(bool(error))


def _status(study, arguments):
    from jaxcnn.sweeps.rounds import grown
    from jaxcnn.sweeps.status import states

    rows = states(grown(study, arguments.workdir), pathlib.Path(arguments.workdir))
    table(("run", "state", "step"), rows, names_first=True)
    print(_counted(state for _, state, _ in rows))
    return 0


def _search(module, arguments):
    from jaxcnn.sweeps.search import run_search, search_of
    from jaxcnn.sweeps.trials import best_trials
    from jaxcnn.training.processes.preemption import Preempted

    options = ("scale", "run", "collect", "status", "plan", *SEEDS, *LOCAL)
    refuse(arguments, options, f"for studies; {arguments.study} is a search")
    if arguments.runner == "slurm":
        search_of(module)
        return slurm.submit_search(arguments, _itself(arguments))
    refuse(arguments, slurm.NAMES, "for --runner slurm")
    if arguments.runner == "population":
        raise InputError("--runner population is for studies: the trials of a search are drawn one after another.")
    try:
        search, workdir = search_of(module), pathlib.Path(arguments.workdir)
        docstring = module.__doc__ or ""
        study = run_search(
            search,
            workdir,
            title=docstring.strip().partition("\n")[0],
            docstring=docstring,
            storage=arguments.storage,
            report=lambda line: print(line, flush=True),
        )
    except Preempted as stop:
        print(f"jaxcnn: {stop}", file=sys.stderr)
        return 128 + stop.signal
    table(*best_trials(search, study))
    print(f"{workdir}/report.html")
    return int(not any(trial.values for trial in study.get_trials(deepcopy=False)))
