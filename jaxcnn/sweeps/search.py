"""Searches: hyperparameters that Optuna draws, pruned by a held-out measure, by as many workers as join in."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import pathlib
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn import trust
from jaxcnn.errors import InputError, disk_is_full, how_to_install, input_errors, nearest
from jaxcnn.files import write_text
from jaxcnn.lock import hold, is_held
from jaxcnn.quantity import measured
from jaxcnn.sweeps.metrics import kind_of, with_label
from jaxcnn.sweeps.space import Choice, Range
from jaxcnn.sweeps.storage import open_storage, storage_errors_named
from jaxcnn.sweeps.study import slips_named
from jaxcnn.sweeps.trials import FOLDER, write_search
from jaxcnn.sweeps.values import set_value
from jaxcnn.sweeps.worker import in_words
from jaxcnn.training.config import differences, flatten, from_json, is_option, to_json
from jaxcnn.training.divergence import Diverged
from jaxcnn.training.processes.preemption import Preempted
from jaxcnn.training.rundir.log import read_metrics
from jaxcnn.training.train import train

if TYPE_CHECKING:
    from types import ModuleType

    from ml_collections import ConfigDict

    from jaxcnn.tasks.task import Kind, Measure


__all__ = ["Choice", "Range", "Search", "run_search", "search_of"]

SAMPLERS = ("random", "coarse_to_fine", "tpe")
PRUNERS = ("none", "median", "hyperband")
VALUES = "values"  # attribute of a trial that is drawn again: what it is to draw
ASK = "asking"  # the folder that a process holds while it draws a trial
NARROW = 0.25  # share of a range that coarse_to_fine keeps


@dataclasses.dataclass(frozen=True)
class Search:
    """A search, as `search()` in a file of experiments/ returns it: for the best of what its task selects by.

    Attributes:
      base: a config.
      space: {config key: Range or Choice}.
      trials: how many in all.
      sampler: "random"; "coarse_to_fine": the second half random within the quarter of every range around the best of
        the first; "tpe": tree-structured Parzen estimator (Bergstra et al. 2011).
      pruner: "none"; "median": a trial below the median of the earlier ones at the same evaluation ends; "hyperband"
        (Li et al. 2018).

    Raises:
      InputError: a key, a value, the sampler or the pruner is not one that is known, or the task selects by no measure.
    """

    base: Any
    space: dict
    trials: int = 20
    sampler: str = "tpe"
    pruner: str = "median"

    def __post_init__(self) -> None:
        if not self.kind.selects:
            raise InputError(
                "a search optimises the held-out measure by which a task selects its best checkpoint, and "
                f"{self.base.task.name} selects by none: its `selects` is (). Name a measure there, or compare levels "
                "in a study."
            )
        known = flatten(self.base)
        for key, space in self.space.items():
            if key not in known and not is_option(key):
                raise InputError(f"search space: '{key}' is not a key of the config; {nearest(key, known)}")
            if not isinstance(space, Range | Choice):
                raise InputError(f"search space: '{key}' has {space!r}; it is a Range or a Choice.")
            for value in space.ends:
                self.config({key: value})
        for name, value, table in (("sampler", self.sampler, SAMPLERS), ("pruner", self.pruner, PRUNERS)):
            if value not in table:
                raise InputError(f"{name} is '{value}'; {nearest(value, table)}")

    @functools.cached_property
    def kind(self) -> Kind:
        """The Kind of the task that its trials learn, by its base."""
        return kind_of(self.base)

    @property
    def measure(self) -> tuple[str, Measure]:
        """(name, Measure) of what it optimises on held-out images."""
        return self.kind.main, with_label(self.kind.main, self.kind.measures[self.kind.main])

    @property
    def direction(self) -> str:
        """ "maximize" or "minimize", as Optuna calls them."""
        return "maximize" if self.measure[1].higher_is_better else "minimize"

    def best(self, found: Iterable[Any], value: Callable[[Any], Any]) -> Any:
        """The first of the best of `found`, which are compared by value(one)."""
        return (max if self.direction == "maximize" else min)(found, key=value)

    def config(self, values: Mapping[str, Any]) -> ConfigDict:
        """The base with these values; InputError for one of another type than its key's."""
        config = self.base.copy_and_resolve_references()
        for key, value in values.items():
            set_value(config, key, value, where="search space")
        return config


def search_of(module: ModuleType) -> Search:
    """The Search of a module that load_module returned.

    Raises:
      InputError: its search() fails, or returns something else.
    """
    with slips_named(module.__file__):
        search = module.search()
    if not isinstance(search, Search):
        raise InputError(
            f"search() of {module.__file__} returns {type(search).__name__}; it returns a jaxcnn.sweeps.search.Search."
        )
    return search


def run_search(
    search: Search,
    workdir: pathlib.Path,
    *,
    title: str = "",
    docstring: str = "",
    storage: str = "",
    report: Callable[[str], object] = print,
) -> Any:
    """Runs trials until the search has as many as it asks for; more processes that call it join in.

    A trial whose process died is drawn again with the same values and resumes in its directory. The process that ends
    the last trial evaluates the best one on the test split, once, and writes trials.csv and report.html.

    Args:
      search: a Search.
      workdir: a pathlib.Path; trial-0000, trial-0001, ... are run directories below it.
      title, docstring: for the report.
      storage: Optuna's, as a URL ("postgresql://..."), or "journal:FILE" for file systems on which SQLite fails; empty
        for SQLite in workdir/search.db.
      report: called with a line of text per trial.
    Returns:
      The Optuna study.
    Raises:
      InputError: Optuna is not installed, or the storage holds another search or is damaged.
    """
    _optuna()
    trust.allow_config(search.base)
    for space in search.space.values():
        trust.allow(*getattr(space, "values", ()))
    name = storage or f"sqlite:///{workdir / 'search.db'}"
    with storage_errors_named(name):
        study = _open(search, workdir, name)
        while _one(search, study, workdir, report):
            pass
        with hold(workdir / ASK, what="search", wait=True):
            if not study.get_trials(states=(_optuna().trial.TrialState.RUNNING,)):
                write_search(search, study, workdir, title=title, docstring=docstring)
    return study


def _one(search, study, workdir, report):
    """Draws a trial and runs it; False where there is none left to draw."""
    with contextlib.ExitStack() as held:
        with hold(workdir / ASK, what="search", wait=True):  # one process at a time draws
            trial = _ask(search, study, workdir)
            if trial is None:
                return False
            held.enter_context(hold(workdir / trial.user_attrs[FOLDER], what="trial"))
        report(_run(search, study, trial, workdir))
    return True


def _optuna():
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise InputError(f"a search takes Optuna: {how_to_install('optuna', 'sweeps')}") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _open(search, workdir, storage):
    optuna = _optuna()
    pruners = optuna.pruners
    pruner = {"none": pruners.NopPruner, "median": pruners.MedianPruner, "hyperband": pruners.HyperbandPruner}
    with hold(workdir / ASK, what="search", wait=True):  # to make the tables of a storage is not safe for two at once
        study = optuna.create_study(
            storage=open_storage(storage),
            study_name=workdir.absolute().name,
            direction=search.direction,
            load_if_exists=True,
            pruner=pruner[search.pruner](),
        )
        _check_place(study, workdir)
        _check_same(search, study, workdir)
    return study


def _check_place(study, workdir):
    """Ties the storage to this folder: which trial is alive is known by the locks in it."""
    if not study.get_trials(deepcopy=False) and (begun := sorted(workdir.glob("trial-*"))):
        raise InputError(
            f"the storage holds no trial, but {workdir} has {len(begun)} that were begun: it was emptied, removed, or "
            "is another one than they were drawn from. Put it back, or give another workdir."
        )
    for trial in study.get_trials(deepcopy=False):
        if not re.fullmatch(r"trial-\d{4,}", folder := trial.user_attrs.get(FOLDER, "trial-0000")):
            raise InputError(
                f"the storage says that trial {trial.number} lies in {folder!r}, which is no directory of a trial in "
                f"{workdir}: it is not of this program. Give another workdir."
            )
    mark, known = workdir / "search.id", study.user_attrs.get("place")
    if not mark.exists():
        write_text(mark, uuid.uuid4().hex)
    found = mark.read_text(encoding="utf-8", errors="replace")
    if not re.fullmatch("[0-9a-f]{32}", found):
        cure = f"write {known} into it" if known else "remove it"
        raise InputError(f"{mark} is damaged: it does not name a search. If the storage is of this directory, {cure}.")
    if known not in (None, found):
        raise InputError(
            f"the storage holds a search named '{study.study_name}' of another directory. Workers that join in share "
            f"one --workdir; for a search of its own give {workdir} another name."
        )
    study.set_user_attr("place", found)


def _check_same(search, study, workdir):
    """Keeps what every trial shares in the storage, and raises InputError where it holds something else."""
    space = {key: repr(value) for key, value in search.space.items()}
    found = study.user_attrs.get("space", space)
    if found != space:
        raise InputError(f"{workdir} holds a search of another space: {found}. Give another workdir.")
    base = study.user_attrs.get("base", to_json(search.base))
    if changed := differences(from_json(base), search.base):
        rows = "; ".join(f"{key}: {old!r} there, {new!r} here" for key, old, new in changed)
        raise InputError(f"{workdir} holds a search of another base config. {rows}. Give another workdir.")
    if (found := study.direction.name.lower()) != search.direction:
        raise InputError(
            f"{workdir} holds a search that is to {found} the measure of its task, and {search.kind.main} is to be "
            f"{search.direction}d: the task has changed. Give another workdir."
        )
    study.set_user_attr("space", space)
    study.set_user_attr("base", base)


def _ask(search, study, workdir):
    """The next trial with its values drawn, or None where the search has all it asks for."""
    optuna = _optuna()
    state = optuna.trial.TrialState
    _draw_again(study, workdir)
    trials = study.get_trials(deepcopy=False)
    drawn = [t for t in trials if t.state is not state.FAIL]
    if len(drawn) >= search.trials and not any(t.state is state.WAITING for t in drawn):
        return None
    seed = int(np.random.SeedSequence((search.base.seed, len(trials))).generate_state(1)[0])
    samplers = optuna.samplers
    study.sampler = samplers.TPESampler(seed=seed) if search.sampler == "tpe" else samplers.RandomSampler(seed)
    trial = study.ask()
    again = FOLDER in trial.user_attrs
    for key, space in (search.space if again else _space(search, drawn)).items():
        with input_errors(f"the storage holds a trial whose {key} is not of the search space"):
            space.suggest(trial, key)
    if not again:
        trial.set_user_attr(FOLDER, f"trial-{len(drawn):04}")
    return trial


def _draw_again(study, workdir):
    """Enqueues the trials whose process is gone, with their values; broken off anywhere, the next call ends it."""
    state = _optuna().trial.TrialState
    waiting = {trial.user_attrs.get(FOLDER) for trial in study.get_trials(states=(state.WAITING,))}
    for trial in study.get_trials(states=(state.RUNNING,)):
        folder = trial.user_attrs.get(FOLDER)
        if folder and is_held(workdir / folder):
            continue
        if folder and folder not in waiting:
            values = {**trial.user_attrs.get(VALUES, {}), **trial.params}
            study.enqueue_trial(values, user_attrs={FOLDER: folder, VALUES: values})
        study.tell(trial.number, state=state.FAIL)


def _space(search, drawn):
    """The space of the next trial, narrowed in the second half of coarse_to_fine."""
    if search.sampler != "coarse_to_fine" or len(drawn) < search.trials / 2:
        return search.space
    # By the number of its folder, which one that is drawn again keeps; one that diverged has no value.
    half = math.ceil(search.trials / 2)
    first = [t for t in drawn if t.values and int(t.user_attrs[FOLDER].removeprefix("trial-")) < half]
    if not first:
        return search.space
    best = search.best(first, lambda t: t.value)
    return {key: space.around(best.params[key], NARROW) for key, space in search.space.items()}


def _any_learned(study):
    """Whether any trial has come to an evaluation: then what the search shares is in order."""
    return any(trial.intermediate_values for trial in study.get_trials(deepcopy=False))


def _run(search, study, trial, workdir):
    """Trains a trial in its directory; returns a line about it."""
    optuna = _optuna()
    folder, state = workdir / trial.user_attrs[FOLDER], optuna.trial.TrialState
    name, measure = search.measure

    def judge(step, value):
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    drawn = {key: trial.params[key] for key in search.space}  # a storage may hold more, and it is data
    for row in read_metrics(folder):  # a trial that resumes: what its first process reported
        if row.get("split") == "validation":
            trial.report(math.nan if row[name] is None else row[name], row["step"])
    words = ", ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in drawn.items()
    )
    try:
        result = train(search.config(drawn), folder, quiet=True, final_test=False, on_evaluation=judge)
        if not math.isfinite(value := result.validation[name]):
            raise InputError(f"its held-out {measure.label} is {value}, which cannot be compared")
    except optuna.TrialPruned:
        study.tell(trial, state=state.PRUNED)
        return f"{folder.name}  {words}: pruned"
    except Preempted:
        raise
    except Exception as error:  # it diverged, or a fault, of memory say, that would end every worker in turn
        if disk_is_full(error.__cause__ or error) or not (isinstance(error, Diverged) or _any_learned(study)):
            raise  # not these values' fault: the same command draws them again
        trial.set_user_attr("error", text := in_words(error))
        study.tell(trial, state=state.PRUNED)  # so that the sampler keeps away from there
        return f"{folder.name}  {words}: {text}"
    study.tell(trial, value)
    return f"{folder.name}  {words}: held out {measured(value, measure)}"
