"""Weights that were trained elsewhere as a run directory that evaluate, predict and fine-tuning open, and back."""

import logging
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxcnn.data.fit import Target
from jaxcnn.errors import InputError, input_errors, nearest
from jaxcnn.evaluation.trained import Trained
from jaxcnn.files import local_path, replaced, write_json
from jaxcnn.training.config import default_config
from jaxcnn.training.host import memory_of
from jaxcnn.training.learning import make_kind
from jaxcnn.training.model import make_model
from jaxcnn.training.rundir.about import write_data, write_statistics
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.rundir.directory import CONVERTED, open_run
from jaxcnn.training.rundir.environment import write_environment
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import abstract_variables, state_of_network
from jaxcnn.training.validate import validate
from jaxcnn.transfer.files import read_tensors
from jaxcnn.transfer.mapping import to_tensors, to_variables
from jaxcnn.transfer.published import find_published
from jaxcnn.transfer.sources import check_source, find_layout, our_name

logger = logging.getLogger(__name__)


def convert(
    source: str,
    architecture: str,
    file: str | os.PathLike[str],
    workdir: str | os.PathLike[str],
    *,
    options: Mapping[str, Any] | None = None,
    key: str = "",
    data: str = "",
    data_dir: str = "",
    classes: Sequence[str] | None = None,
    **preparation: Any,
) -> int:
    """Writes a run directory whose only checkpoint, step 0, holds the weights of a file.

    >>> convert("torchvision", "resnet20", "resnet20.safetensors", "runs/imported", data="tfds:cifar10")
    >>> Trained("runs/imported").evaluate("test")
    >>> convert("timm", "", "hf-hub:timm/resnet18.a1_in1k", "runs/imagenet")

    evaluate and predict prepare images as the weights were trained: the run's config holds image_size, resize,
    interpolation, mean and std, and preprocessing.json beside it the channel order of the file too, and the commit of a
    repository.

    Args:
      source: "torchvision", "timm" or "caffe": whose names the file has; or the .json file of a table of names, see
        `jaxcnn.transfer.sources.read_table`.
      architecture: a name of ours for which this source has a layout, or the source's own name of it ("vgg16_bn"); ""
        takes the one that a repository states.
      file: safetensors, a state_dict of PyTorch or a caffemodel; or hf-hub:OWNER/NAME[@REVISION], a repository of the
        hub, see `jaxcnn.transfer.published`: its architecture, preprocessing and classes hold where none are given.
      workdir: a directory without a run.
      options: the architecture's own arguments.
      key: where the weights lie in a file that holds several, "model_ema"; "" looks for them.
      data: the data set to evaluate on, as config.data.name; its classes name those of the network.
      data_dir: where TFDS sets lie.
      classes: names of the classes in the order of the outputs; default: those of data, else of the repository, else
        "0", "1", ...
      **preparation: other fields of Preprocessing than the layout's: image_size, resize, mean, std, ...
    Returns:
      The number of parameters.
    Raises:
      InputError: an unknown name, a repository that cannot be fetched, a file that does not fit (lists both sides), a
        directory that holds a run.
    """
    workdir = local_path(workdir)
    if (workdir / "config.json").exists():
        raise InputError(f"{workdir} holds a run already. Give another workdir.")
    check_source(source)  # before anything is downloaded
    published = find_published(file)
    preparation = {**published.preparation, **{k: v for k, v in preparation.items() if v is not None}}
    architecture, own = _our_architecture(source, architecture or published.architecture, file)
    asked = {**own, **(options or {})}
    layout, _, _ = find_layout(source, architecture, asked, where=f"{file}: " if published.architecture else "")
    prepared = _prepared(layout, preparation, architecture)
    tensors = layout.prepare(read_tensors(published.file, key))
    layout, entries, options = find_layout(source, architecture, {**layout.options_of(tensors), **asked})
    config = _config(layout.model or architecture, options, prepared, data, data_dir)
    validate(config)
    count = _count(tensors, layout, file)
    by = "" if classes else data or "its config.json"
    if data:
        setup = set_up(config)
        config, classes = setup.config, classes or setup.classes
    classes = _classes(classes or published.classes, count, file, by)
    shape = (*prepared.image_size, prepared.channels)
    model = make_model(config, shape, classes)
    variables = to_variables(entries, tensors, abstract_variables(model, shape), where=f"{file} as {architecture}")
    if layout.note:
        logger.warning(layout.note)
    _write(workdir, config, model, variables)
    mean, std = (np.full(prepared.channels, x, np.float32) for x in (prepared.mean, prepared.std))
    write_data(workdir, {"classes": list(classes), "shape": list(shape)})
    write_statistics(workdir, mean, std)
    write_json(workdir / CONVERTED, {"source": source, **published.origin, **prepared._asdict()})
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


def export(
    workdir: str | os.PathLike[str],
    file: str | os.PathLike[str],
    *,
    source: str = "torchvision",
    checkpoint: str = "best",
) -> int:
    """Writes the weights of a run as safetensors under the names of a source; returns the number of tensors.

    Raises:
      InputError: no such run or checkpoint, the source has no layout for its architecture or computes something else
        with it, or the file has another suffix than .safetensors or cannot be written; all but a full disk before any
        work.
    """
    from safetensors.numpy import save

    file = pathlib.Path(file)
    if file.suffix != ".safetensors":
        raise InputError(f"{file} would hold safetensors: give it the suffix .safetensors.")
    if not file.parent.is_dir():
        raise InputError(f"{file} cannot be written: there is no folder {file.parent}.")
    trained = Trained(workdir, checkpoint)
    options = trained.config.model.options.to_dict()
    layout, entries, _ = find_layout(source, trained.config.model.name, options)
    for key, value in layout.options.items():
        if (own := getattr(trained.model, key)) != value:
            raise InputError(
                f"{source}'s {trained.config.model.name} is ours with {key}={value!r}, but {workdir} was trained with "
                f"{own!r}: under these weights it would compute something else."
            )
    if layout.note:
        logger.warning(layout.note)
    tensors = layout.complete(to_tensors(entries, trained.variables))
    with replaced(file) as temporary:
        temporary.write_bytes(save(tensors))
    return len(tensors)


def _our_architecture(source, theirs, file):
    """Our name of the architecture and the options that theirs stands for."""
    if not theirs:
        raise InputError(f"{file} does not say which architecture its weights are for: name it, --architecture NAME.")
    architecture, own = our_name(source, theirs)
    if theirs != architecture:
        words = "".join(f", {name}={value}" for name, value in own.items())
        logger.warning(f"{source}'s {theirs} is {architecture}{words} here.")
    return architecture, own


def _classes(names, count, file, by):
    names = tuple(names or map(str, range(count)))
    if len(names) != count:
        raise InputError(f"{file} has {count} classes, but {len(names)} are named{f' by {by}' if by else ''}.")
    return names


def _prepared(layout, preparation, architecture):
    known = layout.preprocessing._fields
    for key in preparation:
        if key not in known:
            raise InputError(f"{key!r} is no part of the preprocessing; {nearest(key, known)}")
    prepared = layout.preprocessing._replace(**{k: v for k, v in preparation.items() if v is not None})
    for key in ("mean", "std"):
        if len(getattr(prepared, key)) not in (1, prepared.channels):
            raise InputError(
                f"{architecture} needs --{key}, one number or {prepared.channels}, on the [0, 1] scale; got "
                f"{getattr(prepared, key) or 'none, and there is no usual one'}."
            )
    with input_errors(""):
        Target(prepared.image_size, resize=prepared.resize or 0, interpolation=prepared.interpolation)
    return prepared


def _config(architecture, options, prepared, data, data_dir):
    config = default_config()
    config.data.name, config.data.data_dir = data, data_dir
    config.data.image_size, config.data.channels = tuple(prepared.image_size), prepared.channels
    config.data.fit, config.data.resize = "crop", prepared.resize or 0
    config.data.interpolation = prepared.interpolation
    for key in ("mean", "std"):
        config.data[key] = ",".join(repr(float(x)) for x in getattr(prepared, key))
    config.model.name = architecture
    config.model.options.update(options)
    config.evaluation.batch_size = config.batch_size
    return config


def _count(tensors, layout, file):
    if layout.head not in tensors:
        raise InputError(
            f"{file} has no {layout.head}, whose length is the number of classes; {nearest(layout.head, tensors)}"
        )
    return len(tensors[layout.head])


def _write(workdir, config, model, variables):
    """The run directory with its checkpoint, which is of the network alone: no optimizer has seen it."""
    open_run(workdir, config)
    write_environment(workdir, config, step=0)
    variables = jax.device_put(variables, jax.local_devices()[0])
    state = state_of_network(config, make_kind(config), model, variables)
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        checkpoints.save(0, state, memory=memory_of(config, 0))
        checkpoints.wait()
