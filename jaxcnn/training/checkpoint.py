"""Checkpoints of a run by Orbax: the only file that knows its API."""

import jax
import jax.numpy as jnp
from orbax.checkpoint import v1 as ocp

from jaxcnn.errors import InputError
from jaxcnn.training.state import State


class Checkpoints:
    """The checkpoints of a run directory: the latest `keep` and the best on the held-out slice.

    A checkpoint holds the state as arrays and, as JSON, the data position, the plateau's memory and the config. Saving
    is asynchronous and atomic: a save that was interrupted leaves the earlier ones as they were.

    Args:
      folder: RUN/checkpoints.
      keep: how many of the latest stay.
      read_only: for evaluation: nothing is created or cleaned up.
    """

    def __init__(self, folder, *, keep=2, read_only=False):
        self.folder = folder
        if read_only and not folder.is_dir():
            raise InputError(
                f"there are no checkpoints in {folder}: this is no run directory, or nothing was saved yet."
            )
        self._context = ocp.Context()
        self._context.pytree.loading.partial_load = True  # load_network reads a part; load compares every name itself
        self._checkpointer = self._saving = None
        if read_only:  # by this process alone, even in a run of several: no barrier waits for the others
            here = jax.process_index()
            self._context.multiprocessing.primary_host = here
            self._context.multiprocessing.active_processes = {here}
            self._context.multiprocessing.barrier_sync_key_prefix = f"process{here}"
            return
        policies = ocp.training.preservation_policies
        best = policies.BestN(get_metric_fn=rank, n=1, keep_checkpoints_without_metrics=False)
        self._checkpointer = ocp.training.Checkpointer(
            folder.absolute(),
            context=self._context,
            cleanup_tmp_directories=True,
            preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(keep), best]),
        )

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if not self._checkpointer:
            return
        try:
            try:
                self._saved()
            finally:
                self._checkpointer.close()
        except Exception:
            if error is None:  # else it is the same failed save once more
                raise

    def steps(self):
        """The steps there are, ascending."""
        if self._checkpointer:
            return [c.step for c in self._checkpointer.checkpoints]
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdigit())

    def resolve(self, which):
        """The step of "best", "latest" or a number; InputError lists the steps there are."""
        steps = self.steps()
        if not steps:
            raise InputError(f"there is no complete checkpoint in {self.folder}.")
        if which == "best":
            ranked = [(rank(held_out), step) for step in steps if (held_out := self.held_out(step))]
            return max(ranked)[1] if ranked else steps[-1]
        if which == "latest":
            return steps[-1]
        if str(which) not in map(str, steps):
            raise InputError(
                f"there is no checkpoint of step {which} in {self.folder}; there are best, latest, "
                f"{', '.join(map(str, steps))}."
            )
        return int(which)

    def save(self, step, state, *, memory, held_out=None):
        """Starts to save a state; returns once it may be donated again.

        Args:
          step: updates done.
          state: a State.
          memory: JSON: {"seed", "records", "seconds", "unlogged", "metrics", "plateau", "config"}.
          held_out: {"top1", "loss"} of the state where it was just evaluated.
        """
        self._saved()
        memory = {**memory, "held_out": held_out or {}}
        self._saving = self._checkpointer.save_async(step, state, force=True, metrics=held_out, custom_metadata=memory)

    def wait(self):
        """Returns when what was started is on the disk; raises what went wrong."""
        self._saved()

    def _saved(self):
        """Waits for the last save; its thread and event loop live until its result was asked for."""
        saving, self._saving = self._saving, None
        if saving:
            saving.result()

    def memory(self, step):
        """The JSON that was saved with a step."""
        return self._metadata(step).custom_metadata

    def held_out(self, step):
        """{"top1", "loss"} on the held-out slice of a step that was saved with them, else {}."""
        return self.memory(step)["held_out"]

    def load(self, step, like):
        """The State of a step, laid out as `like` (arrays or ShapeDtypeStructs with shardings).

        Raises:
          InputError: the checkpoint is of another architecture or optimizer; lists what differs on both sides.
        """
        saved = _named(self._metadata(step).metadata)
        if _of_weights_alone(saved, _named(like)):
            older = self.load(step, _each_state(lambda s: s.replace(ema=s.ema["params"]), like))
            return _each_state(_with_averaged_statistics, older)
        compare(saved, _named(like), f"checkpoint {self._path(step)}")
        return self._load(step, _abstract(like))

    def load_network(self, step, like):
        """{"params", "batch_stats"} of a step, without the optimizer's state: what the run evaluates by.

        Args:
          step: as resolve returns it.
          like: {"params", "batch_stats"} of the model, ShapeDtypeStructs with shardings.
        Returns:
          As like; the averages where the run keeps them.
        Raises:
          InputError: the checkpoint is of another architecture.
        """
        saved = self._metadata(step).metadata
        average = _items(saved["ema"])
        within = "params" in average  # else of a run without averages, or of one that averaged the weights alone
        source = "ema" if average and not within else "params"
        tree = average if within else _items(saved)
        part = {"params": tree[source], "batch_stats": tree.get("batch_stats", {})}
        compare(_named(part), _named(like), f"checkpoint {self._path(step)}")
        wanted = {source: _abstract(like["params"]), "batch_stats": _abstract(like["batch_stats"])}
        wanted = {name: tree for name, tree in wanted.items() if tree}
        loaded = self._load(step, {"ema": wanted})["ema"] if within else self._load(step, wanted)
        return {"params": loaded[source], "batch_stats": loaded.get("batch_stats", {})}

    def _path(self, step):
        return self.folder.absolute() / str(step)

    def _metadata(self, step):
        with self._context:
            return ocp.metadata(self._path(step))

    def _load(self, step, like):
        with self._context:
            return ocp.load(self._path(step), like)


def rank(metrics):
    """Higher is better: held-out top-1, then the lower loss."""
    return metrics["top1"], -metrics["loss"]


def _items(tree):
    """A dict of what a tree of a checkpoint's metadata holds; empty where nothing was saved."""
    return dict(tree) if jax.tree.leaves(tree) else {}


def _of_weights_alone(saved, wanted):
    """Whether {name: array} of a checkpoint hold, as older ones do, averages of the weights but not of statistics."""
    return any("ema/params/" in name for name in wanted) and not any("ema/params/" in name for name in saved)


def _with_averaged_statistics(state):
    """A State whose ema is of weights alone, as States are now: the average of the statistics begins here."""
    return state.replace(ema={"params": state.ema, "batch_stats": jax.tree.map(jnp.copy, state.batch_stats)})


def _each_state(function, tree):
    """The tree with every State in it mapped: a run has one, a population two."""
    return jax.tree.map(function, tree, is_leaf=lambda leaf: isinstance(leaf, State))


def _abstract(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


def _named(tree):
    return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _name(path):
    return "/".join(str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path)


def compare(saved, wanted, where):
    """Raises InputError, with both sides, where {name: array} of a checkpoint are not those wanted."""
    only_saved = sorted(set(saved) - set(wanted))
    only_wanted = sorted(set(wanted) - set(saved))
    shapes = [
        f"{name} {tuple(saved[name].shape)} there, {tuple(wanted[name].shape)} here"
        for name in sorted(set(saved) & set(wanted))
        if name.rpartition("/")[2] != "key" and tuple(saved[name].shape) != tuple(wanted[name].shape)
    ]
    if only_saved or only_wanted or shapes:
        parts = [
            f"{title}: {', '.join(rows[:8])}" + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
            for title, rows in (
                ("only in the checkpoint", only_saved),
                ("only in this model", only_wanted),
                ("other shapes", shapes),
            )
            if rows
        ]
        raise InputError(f"{where} does not fit this model and optimizer. " + "; ".join(parts) + ".")
