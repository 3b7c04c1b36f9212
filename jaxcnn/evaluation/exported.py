"""A trained network as one file that predicts without jaxcnn: preprocessing, network and task, by jax.export."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np
from jax import export

from jaxcnn.errors import InputError, how_to_install, nearest
from jaxcnn.files import replaced, write_json

if TYPE_CHECKING:
    from jaxcnn.evaluation.trained import Trained


PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
USUAL = ("cpu", "cuda")


def export_program(
    trained: Trained, file: str | os.PathLike[str], *, platforms: Sequence[str] = USUAL
) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes what `trained.infer` computes as a StableHLO program that jax.export reads, weights and all.

    The program takes images uint8 (n, h, w, c) of the network's size, n free, and gives {output: (n, ...)} as the task
    of the run infers, for a classifier "logits" and "probabilities". FILE.json beside it says what goes in and comes
    out: docs/export.md.

    Args:
      trained: a Trained.
      file: the file to write; its folder must be there.
      platforms: of PLATFORMS, for each of which it is lowered; none of them has to be here.
    Returns:
      (file, the JSON file), paths.
    Raises:
      InputError: a platform is unknown, flatbuffers is not installed, a file cannot be written, or the network cannot
        be traced with a free number of images.
    """
    platforms = tuple(platforms)
    _check(platforms)
    file = pathlib.Path(file)
    about_file = file.with_name(f"{file.name}.json")
    program, content = _exported(trained, platforms)
    with replaced(file) as temporary, replaced(about_file) as temporary_about:  # both, or neither
        temporary.write_bytes(content)
        write_json(temporary_about, _about(trained, program))
    return file, about_file


def _check(platforms):
    try:
        import flatbuffers  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"jax.export writes by the package flatbuffers: {how_to_install('flatbuffers', 'export')}"
        ) from error
    if unknown := [name for name in platforms if name not in PLATFORMS]:
        raise InputError(f"a program cannot be written for platform {unknown[0]!r}; {nearest(unknown[0], PLATFORMS)}.")
    if not platforms or len(set(platforms)) < len(platforms):
        raise InputError(f"platforms are {', '.join(platforms) or 'none'}; name one at least, and each once.")


def _exported(trained, platforms):
    """(The jax.export.Exported of infer, with the variables as constants, its bytes)."""
    (n,) = export.symbolic_shape("n")
    images = jax.ShapeDtypeStruct((n, *trained.shape), np.uint8)

    def predict(images):
        return trained.infer(trained.variables, images)

    if trained.task.reads:
        raise InputError(
            f"{trained.config.model.name} of {trained.workdir}, task {trained.config.task.name}, cannot be exported: "
            f"it takes {', '.join(trained.task.reads)} beside images, which a program of images alone does not get."
        )
    trained.outputs()  # what is wrong with any number of images fails here
    try:
        program = export.export(jax.jit(predict), platforms=platforms)(images)
        return program, program.serialize()
    except Exception as error:  # a network of a user's may fail in any way where n is no number
        reason = str(error).strip().partition("\n")[0].removesuffix(".")
        raise InputError(
            f"{trained.config.model.name} of {trained.workdir}, task {trained.config.task.name}, cannot be exported: "
            f"it was traced with a free number of images, and gave {type(error).__name__}: {reason}."
        ) from error


def _about(trained, program):
    """What a person needs who has the file alone."""
    data = trained.config.data
    outputs = jax.tree.unflatten(program.out_tree, program.out_avals)
    return {
        "format": "jax.export",
        "jax": jax.__version__,
        "platforms": list(program.platforms),
        "task": trained.config.task.name,
        "architecture": trained.config.model.name,
        "step": trained.step,
        "input": {
            **_array(program.in_avals[0]),
            "channels": "grey" if trained.shape[2] == 1 else "RGB",
            "fit": data.fit,
            "resize": data.resize,
            "interpolation": data.interpolation,
        },
        "outputs": jax.tree.map(_array, outputs),
        "classes": list(trained.classes),
    }


def _array(aval):
    return {"shape": [size if isinstance(size, int) else str(size) for size in aval.shape], "dtype": str(aval.dtype)}
