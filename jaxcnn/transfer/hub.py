"""Weights of the Hugging Face hub, by huggingface_hub: model.safetensors and config.json of a repository, nothing else.

The library keeps what it fetched under ~/.cache/huggingface (HF_HOME), by commit, and gives it without a network. Where
a connection breaks it resumes the file; a process that was killed begins the file again. HF_HUB_OFFLINE=1 asks for no
network at all, HF_ENDPOINT names a mirror.
"""

from __future__ import annotations

import os
import pathlib
import re
from typing import NamedTuple

from jaxcnn.errors import InputError, disk_is_full, how_to_install
from jaxcnn.files import read_json

PREFIX = "hf-hub:"
ADDRESS = re.compile(PREFIX + r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
WEIGHTS, CONFIG = "model.safetensors", "config.json"


class Fetched(NamedTuple):
    """Files of a repository.

    Attributes:
      weights: the path of model.safetensors.
      config: of config.json, {} where the repository has none.
      commit: the hash of the commit that both are of, 40 hexadecimal digits.
    """

    weights: pathlib.Path
    config: dict
    commit: str


def is_address(text: object) -> bool:
    """Whether a text names a repository of the hub, not a file: it begins with hf-hub:."""
    return str(text).startswith(PREFIX)


def fetch(address: str | os.PathLike[str]) -> Fetched:
    """Downloads the weights of a repository and what stands beside them, or finds them in the cache.

    Args:
      address: hf-hub:OWNER/NAME, or hf-hub:OWNER/NAME@REVISION with a branch, a tag or the hash of a commit; default:
        main.
    Returns:
      Fetched. Both files are of one commit, also where the branch moves in between.
    Raises:
      InputError: huggingface_hub is not installed; the address is none; there is no such repository or revision, it
        is gated, or holds no safetensors; there is no network and nothing in the cache; the download broke.
    """
    match = ADDRESS.fullmatch(str(address))
    if match is None:
        raise InputError(f"{address} is no address of the hub: it is hf-hub:OWNER/NAME or hf-hub:OWNER/NAME@REVISION.")
    hub, revision = _library(address), match["revision"] or "main"
    config = _download(hub, match, CONFIG, revision, optional=True)
    weights = _download(hub, match, WEIGHTS, config.parent.name if config else revision)
    # The cache is laid out as snapshots/COMMIT/FILE.
    return Fetched(weights, read_json(config) if config else {}, weights.parent.name)


def _library(address):
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        install = how_to_install("huggingface_hub", "hub")
        raise InputError(f"{address} is fetched by huggingface_hub, which is not installed: {install}") from error
    return huggingface_hub


def _download(hub, match, file, revision, *, optional=False):
    """The path of a file of a repository; None where it is optional and not there.

    Args:
      match: of the address.
      revision: of this file.
    """
    errors, repository = hub.errors, match["repository"]
    try:
        return pathlib.Path(hub.hf_hub_download(repository, file, revision=revision))
    except (errors.HTTPError, errors.EntryNotFoundError, errors.HFValidationError, OSError) as error:
        if optional and isinstance(error, errors.EntryNotFoundError):
            # Weights are fetched last: where the cache has them, what it lacks was never in the repository.
            kept = isinstance(hub.try_to_load_from_cache(repository, WEIGHTS, revision=revision), str)
            if kept or isinstance(error, errors.RemoteEntryNotFoundError):
                return None
        raise InputError(f"{match[0]}{_reason(hub, error, repository, file)}") from error


def _reason(hub, error, repository, file):
    """The rest of a sentence that begins with the address: why its file is not here, and what would help."""
    errors, login = hub.errors, "`hf auth login`, or a token in HF_TOKEN"
    if isinstance(error, errors.GatedRepoError):
        return (
            " is gated: its owner gives the files to those who accept its terms. Accept them at "
            f"{hub.constants.ENDPOINT}/{repository}, log in ({login}), and repeat the command."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f" is no repository of {hub.constants.ENDPOINT}, or a private one. Look at its spelling, OWNER/NAME as in "
            f"timm/resnet18.a1_in1k; for a private one log in first ({login})."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            ": the repository has no such revision. Behind the @ stands a branch, a tag or the whole hash of a commit; "
            "without it, main is taken."
        )
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            f": {file} is not in the cache of huggingface_hub, and {hub.constants.ENDPOINT} cannot be reached. Repeat "
            "the command with a network and without HF_HUB_OFFLINE; or run it where there is one, and copy the run "
            "directory or the cache (~/.cache/huggingface, or HF_HOME) here."
        )
    if isinstance(error, errors.EntryNotFoundError):
        return (
            f" has no {WEIGHTS}, and nothing else is fetched: a pickle, as pytorch_model.bin, can run code when it is "
            "read. Another repository may hold the same weights as safetensors; or download the file yourself and "
            "convert it, which reads it without running anything."
        )
    if disk_is_full(error):
        return f": {file} does not fit on the disk of the cache. Free some space, or set HF_HOME to another disk."
    return f": {file} could not be downloaded: {' '.join(str(error).split()).removesuffix('.')}. Repeat the command."
