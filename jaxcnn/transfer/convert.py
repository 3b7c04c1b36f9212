"""Weights that were trained elsewhere as a run directory that evaluate, predict and fine-tuning open, and back."""

import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.data.fit import Target
from jaxcnn.errors import InputError, input_errors, look_up, nearest
from jaxcnn.files import local_path
from jaxcnn.training.checkpoint import Checkpoints
from jaxcnn.training.config import default_config
from jaxcnn.training.model import make_model
from jaxcnn.training.rundir import CONVERTED, open_run, write_data, write_environment, write_statistics
from jaxcnn.training.setup import set_up
from jaxcnn.training.state import State, abstract_variables, hyperparameters
from jaxcnn.training.trained import Trained
from jaxcnn.transfer import caffe, timm, torchvision
from jaxcnn.transfer.files import read_tensors
from jaxcnn.transfer.mapping import to_tensors, to_variables

SOURCES = {"torchvision": torchvision.LAYOUTS, "timm": timm.LAYOUTS, "caffe": caffe.LAYOUTS}


def convert(source, architecture, file, workdir, *, options=None, data="", data_dir="", classes=None, **preparation):
    """Writes a run directory whose only checkpoint, step 0, holds the weights of a file.

    >>> convert("torchvision", "resnet20", "resnet20.safetensors", "runs/imported", data="tfds:cifar10")
    >>> Trained("runs/imported").evaluate("test")

    evaluate and predict prepare images as the weights were trained: the run's config holds image_size, resize,
    interpolation, mean and std, and preprocessing.json beside it the channel order of the file too.

    Args:
      source: "torchvision", "timm" or "caffe": whose names the file has.
      architecture: a name of ours for which this source has a layout.
      file: .safetensors, .pth, .pt or .caffemodel.
      workdir: a directory without a run.
      options: the architecture's own arguments.
      data: the data set to evaluate on, as config.data.name; its classes name those of the network.
      data_dir: where TFDS sets lie.
      classes: names of the classes in the order of the outputs; default: those of data, else "0", "1", ...
      **preparation: other fields of Preprocessing than the layout's: image_size, resize, mean, std, ...
    Returns:
      The number of parameters.
    Raises:
      InputError: an unknown name, a file that does not fit (lists both sides), a directory that holds a run.
    """
    workdir = local_path(workdir)
    if (workdir / "config.json").exists():
        raise InputError(f"{workdir} holds a run already. Give another --workdir.")
    layout, entries, options = find_layout(source, architecture, options or {})
    tensors = layout.prepare(read_tensors(file))
    prepared = _prepared(layout, preparation, architecture)
    config = _config(layout.model or architecture, options, prepared, data, data_dir)
    count = _count(tensors, layout, file)
    if data:
        setup = set_up(config)
        config, classes = setup.config, classes or setup.classes
    classes = tuple(classes or map(str, range(count)))
    if len(classes) != count:
        raise InputError(f"{file} has {count} classes, but {len(classes)} are named{f' by {data}' if data else ''}.")
    shape = (*prepared.image_size, prepared.channels)
    model = make_model(config, shape, count)
    variables = to_variables(entries, tensors, abstract_variables(model, shape), where=f"{file} as {architecture}")
    _write(workdir, config, model, variables)
    mean, std = (np.full(prepared.channels, x, np.float32) for x in (prepared.mean, prepared.std))
    write_data(workdir, {"classes": list(classes), "shape": list(shape)})
    write_statistics(workdir, mean, std)
    description = {"source": source, "file": str(file), **prepared._asdict()}
    (workdir / CONVERTED).write_text(json.dumps(description, indent=1) + "\n")
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


def export(workdir, file, *, source="torchvision", checkpoint="best"):
    """Writes the weights of a run as safetensors under the names of a source; returns the number of tensors.

    Raises:
      InputError: no such run or checkpoint, or the source has no layout for its architecture.
    """
    from safetensors.numpy import save_file

    trained = Trained(workdir, checkpoint)
    options = trained.config.model.options.to_dict()
    layout, entries, _ = find_layout(source, trained.config.model.name, options)
    tensors = layout.complete(to_tensors(entries, trained.variables))
    save_file(tensors, file)
    return len(tensors)


def find_layout(source, architecture, options):
    """How one source names an architecture: (layout, mapping under these options, the options with the layout's)."""
    with input_errors(""):
        layouts = look_up(source, table=SOURCES, kind="source of weights")
    found = [layout for name, layout in layouts.items() if architecture in (name, layout.model)]
    if f"{architecture}_v1_5" in layouts:
        raise InputError(
            f"{source}'s weights are those of {architecture}_v1_5: the stride is in the 3x3, "
            f"in {architecture} it is in the first 1x1."
        )
    if not found:
        raise InputError(f"{source} has no layout for {architecture!r}; {nearest(architecture, layouts)}")
    options = {**found[0].options, **options}
    shaping = inspect.signature(found[0].entries).parameters  # the options that change which parameters there are
    return found[0], found[0].entries(**{key: x for key, x in options.items() if key in shaping}), options


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
    state = State(
        step=jnp.int32(0),
        opt_state=(),
        ema=None,
        key=jax.random.key(config.seed),
        hyperparameters=hyperparameters(config, model),
        **jax.device_put(variables, jax.local_devices()[0]),
    )
    memory = {"seed": config.seed, "records": 0, "seconds": 0.0, "unlogged": 0.0, "metrics": {}}
    plateau = {"best": None, "count": 0, "scale": 1.0}
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        checkpoints.save(0, state, memory={**memory, "plateau": plateau, "config": config.to_dict()})
        checkpoints.wait()
