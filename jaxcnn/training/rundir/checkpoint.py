"""Checkpoints of a run by Orbax: the only file that knows its API."""

import contextlib
import json
import logging
import os
import pathlib
import re
import shutil
import zlib
from collections.abc import Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from orbax.checkpoint import v1 as ocp

from jaxcnn.errors import InputError
from jaxcnn.files import read_json
from jaxcnn.tasks import CLASSIFICATION
from jaxcnn.training.processes import multihost
from jaxcnn.training.rundir.named_arrays import checksums, compare, named
from jaxcnn.training.state import State

logger = logging.getLogger(__name__)

CHECKSUM = "checksum"  # in the JSON beside the arrays, of all the rest of it; older checkpoints have none
ARRAYS = "arrays"  # there too: {name: checksum of an array}
RANK = "rank"  # there too: a list that is larger for the better of two states


class Damaged(InputError):
    """A checkpoint that cannot be read, or that does not hold what was saved.

    Attributes:
      reason: the file or the array, and what is wrong with it.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(f"checkpoint {path} is damaged: {reason}.")
        self.reason = reason


class Checkpoints:
    """The checkpoints of a run directory: the latest `keep` and the best on the held-out slice.

    A checkpoint holds the state as arrays and, as JSON, the data position, the plateau's memory, the config and
    checksums of it all, which are compared when it is read. Saving is asynchronous and atomic: a save that was
    interrupted leaves the earlier ones as they were.

    Attributes:
      damaged: {step: what is wrong with it} of the checkpoints that were set aside as STEP.damaged when the folder was
        opened, until the latest and the best of those left were intact.

    Args:
      folder: RUN/checkpoints.
      rank: f(held_out) -> a tuple that is larger for the better state, see Kind.rank; for saving.
      keep: how many of the latest stay.
      read_only: for evaluation: nothing is created, cleaned up or set aside.

    Raises:
      InputError: read_only, and there is no such folder; or there are checkpoints and none is intact.
    """

    def __init__(self, folder: pathlib.Path, *, rank: Any = None, keep: int = 2, read_only: bool = False) -> None:
        self.folder, self.rank = folder, rank
        if read_only and not folder.is_dir():
            raise InputError(
                f"there are no checkpoints in {folder}: this is no run directory, or nothing was saved yet."
            )
        self._context = ocp.Context()
        self._context.pytree.loading.partial_load = True  # load_network reads a part; load compares every name itself
        self._context.array.saving.use_replica_parallel = False  # or a program is compiled to cut each shape of array
        self._checkpointer = self._saving = None
        self.damaged = {}
        if read_only:  # by this process alone, even in a run of several: no barrier waits for the others
            here = jax.process_index()
            self._context.multiprocessing.primary_host = here
            self._context.multiprocessing.active_processes = {here}
            self._context.multiprocessing.barrier_sync_key_prefix = f"process{here}"
            return
        self.damaged = _set_aside_damaged(folder)
        policies = ocp.training.preservation_policies
        best = policies.BestN(get_metric_fn=rank, n=1, keep_checkpoints_without_metrics=False)
        self._checkpointer = ocp.training.Checkpointer(
            folder.absolute(),
            context=self._context,
            cleanup_tmp_directories=True,
            preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(keep), best]),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: Any, *_: object) -> None:
        if not self._checkpointer:
            return
        try:
            try:
                self.wait()
            finally:
                self._checkpointer.close()
        except Exception:
            if error is None:  # else it is the same failed save once more
                raise

    def steps(self) -> list[int]:
        """The steps there are, ascending."""
        if self._checkpointer:
            return [c.step for c in self._checkpointer.checkpoints]
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdigit())

    def resolve(self, which: str | int) -> int:
        """The step of "best", "latest" or a number; InputError lists the steps there are."""
        steps = self.steps()
        if not steps:
            raise InputError(f"there is no complete checkpoint in {self.folder}.")
        if which == "best":
            return self._best(steps)
        if which == "latest":
            return steps[-1]
        if str(which) not in map(str, steps):
            raise InputError(
                f"there is no checkpoint of step {which} in {self.folder}; there are best, latest, "
                f"{', '.join(map(str, steps))}."
            )
        return int(which)

    def save(
        self, step: int, state: Any, *, memory: Mapping[str, Any], held_out: Mapping[str, float] | None = None
    ) -> None:
        """Starts to save a state; returns once it may be donated again.

        Args:
          step: updates done.
          state: a State.
          memory: JSON: {"seed", "records", "seconds", "unlogged", "metrics", "plateau", "config"}.
          held_out: {measure: value} of the state, of those that choose the best, where it was just evaluated.
        """
        self.wait()
        order = {RANK: list(self.rank(held_out))} if held_out else {}
        memory = {**memory, **order, "held_out": held_out or {}, ARRAYS: checksums(named(state))}
        memory[CHECKSUM] = _checksum(memory)
        self._saving = self._checkpointer.save_async(step, state, force=True, metrics=held_out, custom_metadata=memory)

    def wait(self) -> None:
        """Returns when the last save is on the disk; raises what went wrong."""
        saving, self._saving = self._saving, None
        if saving:
            saving.result()  # which ends its thread and event loop

    def memory(self, step: int) -> dict[str, Any]:
        """The JSON that was saved with a step.

        Raises:
          Damaged: it cannot be read, or its checksum is another.
        """
        return self._read(step)[0]

    def held_out(self, step: int) -> dict[str, Any]:
        """{measure: value} on the held-out slice of a step that was saved with them, else {}."""
        return self.memory(step)["held_out"]

    def damage(self, step: int) -> str | None:
        """The damage of a step as text, None where it is intact; reads all of it."""
        here = jax.sharding.SingleDeviceSharding(_host())
        try:
            arrays, memory = self._arrays(step)
            with self._damage_named(step):
                held_out = memory["held_out"]
                if held_out and read_json(self._path(step) / "metrics" / "metrics") != held_out:
                    raise ValueError(f"{self._path(step)}/metrics does not hold what was saved")
            like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), arrays)
            self._load(step, like, memory)
        except Damaged as error:
            return error.reason
        return None

    def load(self, step: int, like: Any) -> Any:
        """The State of a step, laid out as `like` (arrays or ShapeDtypeStructs with shardings).

        Raises:
          InputError: the checkpoint is of another architecture or optimizer; lists what differs on both sides.
          Damaged: it is not what was saved.
        """
        arrays, memory = self._arrays(step)
        saved = named(arrays)
        if _of_weights_alone(saved, named(like)):
            older = self.load(step, _each_state(lambda s: s.replace(ema=s.ema["params"]), like))
            return _each_state(_with_averaged_statistics, older)
        compare(saved, named(like), f"checkpoint {self._path(step)}")
        return self._load(step, _abstract(like), memory)

    def load_network(self, step: int, like: Any) -> Any:
        """{"params", "batch_stats"} of a step, without the optimizer's state: what the run evaluates by.

        Args:
          step: as resolve returns it.
          like: {"params", "batch_stats"} of the model, ShapeDtypeStructs with shardings.
        Returns:
          As like; the averages where the run keeps them.
        Raises:
          InputError: the checkpoint is of another architecture, or damaged; then it names those that are intact.
        """
        try:
            return self._load_network(step, like)
        except Damaged as error:
            intact = [str(other) for other in self.steps() if other != step and not self.damage(other)]
            rest = (
                f"Intact: --checkpoint {' or '.join(intact)} (in Python: checkpoint={intact[0]})."
                if intact
                else "None of this run is intact."
            )
            raise InputError(f"{error} {rest}") from error

    def _load_network(self, step, like):
        saved, memory = self._arrays(step)
        average = _items(saved["ema"])
        within = "params" in average  # else of a run without averages, or of one that averaged the weights alone
        source = "ema" if average and not within else "params"
        tree = average if within else _items(saved)
        part = {"params": tree[source], "batch_stats": tree.get("batch_stats", {})}
        compare(named(part), named(like), f"checkpoint {self._path(step)}")
        wanted = {source: _abstract(like["params"]), "batch_stats": _abstract(like["batch_stats"])}
        wanted = {name: tree for name, tree in wanted.items() if tree}
        loaded = self._load(step, {"ema": wanted} if within else wanted, memory)
        loaded = loaded["ema"] if within else loaded
        return {"params": loaded[source], "batch_stats": loaded.get("batch_stats", {})}

    def _best(self, steps):
        """The best of these steps, the last one where none was evaluated; names those whose JSON is damaged."""
        ranked = []
        for step in steps:
            try:
                memory = self.memory(step)
                if held_out := memory["held_out"]:  # older checkpoints, without a rank, are classification's
                    ranked.append((tuple(memory.get(RANK) or CLASSIFICATION.rank(held_out)), step))
            except Damaged as error:
                logger.warning("%s The best is chosen among the others.", error)
        return max(ranked)[1] if ranked else steps[-1]

    def _path(self, step):
        return self.folder.absolute() / str(step)

    def _read(self, step):
        """(The JSON that was saved with a step, the pytree of its arrays' shapes and types), from one read."""
        with self._damage_named(step):
            _check_files(self._path(step))
            with self._context:
                found = ocp.metadata(self._path(step))
            memory = found.custom_metadata
            checksum = memory.pop(CHECKSUM, None)
            if "held_out" not in memory or checksum not in (None, _checksum(memory)):
                raise ValueError(f"{self._path(step)}/_CHECKPOINT_METADATA does not hold what was saved")
            return memory, found.metadata

    def _arrays(self, step):
        """(The pytree of a step with shapes and types in place of its arrays, the JSON that was saved with it)."""
        memory, found = self._read(step)
        known = memory.get(ARRAYS)
        with self._damage_named(step):
            if not found or (known and known.keys() != named(found).keys()):
                raise ValueError(f"{self._path(step)}/state does not hold the arrays that were saved")
        return found, memory

    def _load(self, step, like, memory):
        known = memory.get(ARRAYS, {})
        with self._damage_named(step):
            with self._context:
                loaded = ocp.load(self._path(step), like)
            found = checksums(named(loaded)) if known else {}
            if wrong := sorted(name for name, checksum in found.items() if checksum != known[name]):
                raise ValueError(f"{self._path(step)}/state: other numbers than were saved in {', '.join(wrong)}")
        return jax.tree.map(_laid_out, loaded, like)

    @contextlib.contextmanager
    def _damage_named(self, step):
        """Raises Damaged for what Orbax, TensorStore and the file system say of a file that is not as it was."""
        path = self._path(step)
        try:
            yield
        except (Damaged, MemoryError, RuntimeError, TimeoutError):  # the last three are no matter of a file
            raise
        except Exception as error:  # Orbax raises Exception itself, because of a ValueError of TensorStore
            cause = error if isinstance(error, InputError) else error.__cause__ or error
            if isinstance(cause, PermissionError) or "PERMISSION_DENIED" in str(cause):
                raise InputError(f"checkpoint {path} cannot be read: permission denied.") from error
            raise Damaged(path, _reason(path, cause)) from error


def _set_aside_damaged(folder):
    """Renames damaged checkpoints until the latest and the best are intact; returns {step: what is wrong with it}.

    All processes of a run read, because Orbax counts their reads alike; the first one decides.
    """
    steps, found = [], {}
    if folder.is_dir():
        reader = Checkpoints(folder, read_only=True)
        steps = reader.steps()
        found = _damaged(reader, steps)
    if jax.process_count() > 1:
        flags = multihost.broadcast_one_to_all(np.array([step in found for step in steps], bool))
        found = {
            step: found.get(step, "process 0 found it damaged") for step, flag in zip(steps, flags, strict=True) if flag
        }
    if found and len(found) == len(steps):
        raise InputError(
            f"no checkpoint in {folder} is intact. {'; '.join(found.values())}. Give another workdir, or remove "
            f"{folder.parent} to train anew."
        )
    if found and jax.process_index() == 0:
        for step in found:
            aside = folder / f"{step}.damaged"
            shutil.rmtree(aside, ignore_errors=True)
            (folder / str(step)).rename(aside)
    if jax.process_count() > 1:
        multihost.sync_global_devices("damaged checkpoints are set aside")
    return found


def _damaged(reader, steps):
    """{step: what is wrong} of those to set aside: all whose JSON is damaged, and the latest and the best that are."""
    found, intact = {}, set()
    for step in steps:
        try:
            reader.memory(step)
        except Damaged as error:
            found[step] = error.reason
    for choose in (max, reader._best):
        while (left := [step for step in steps if step not in found]) and (step := choose(left)) not in intact:
            if reason := reader.damage(step):
                found[step] = reason
            else:
                intact.add(step)
    return dict(sorted(found.items()))


def _check_files(path):
    """Raises InputError for the first file of a checkpoint that is not there or is no JSON.

    Orbax would say less, and its event loops leave tracebacks behind when they find out.
    """
    if not any(path.iterdir()):
        raise InputError(f"{path} is empty")
    state = path / "state"
    others = [file for file in (state / "_sharding", *state.glob("array_metadatas/*")) if file.exists()]
    for file in (path / "_CHECKPOINT_METADATA", state / "_METADATA", *others):
        read_json(file)
    if not (state / "manifest.ocdbt").is_file():
        raise InputError(f"there is no file {state / 'manifest.ocdbt'}")


def _reason(path, error):
    """The reason in an error about a checkpoint; TensorStore's long sentences end with it."""
    text = str(error).partition(" [tensorstore_spec=")[0].removesuffix(".")
    if array := re.search(r'"([^"/]+)/(?:c/|zarr\.json)', text):
        return f"{path / 'state'}: the array {array[1]} cannot be read: {text.rpartition(': ')[2]}"
    return text


def _host():
    """A device whose memory is the host's, where this JAX has one."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]


def _checksum(memory):
    return f"{zlib.crc32(json.dumps(memory, sort_keys=True).encode()):08x}"


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


def _laid_out(array, like):
    """The array as `like` is laid out: Orbax gives a random key the sharding of its words, which have one axis more."""
    return jax.device_put(array, like.sharding) if jnp.issubdtype(array.dtype, jax.dtypes.prng_key) else array


def _abstract(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)
