"""Prepares data sets in the array_record form of tensorflow-datasets: its own, and image folders."""

import contextlib
import importlib.util
import logging
import os
import socket
import urllib.parse
import urllib.request

from jaxcnn.data.prepare_folder import prepare_folder
from jaxcnn.data.shards import FORMAT
from jaxcnn.errors import InputError, how_to_install, nearest

PORTS = {"http": 80, "https": 443, "ftp": 21}
CONNECT_SECONDS = 5


def prepare(
    dataset: str,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    manual_dir: str | os.PathLike[str] | None = None,
    name: str | None = None,
    size: int | None = None,
    on_error: str = "raise",
    quiet: bool = False,
) -> str:
    """Downloads `tfds:NAME`, or reads `folder:PATH`, and writes it as array_record files.

    Args:
      dataset: "tfds:cifar10", a config behind a slash; or "folder:PATH".
      data_dir: where to; None is TFDS's own directory.
      manual_dir: of a tfds: set that cannot be downloaded by a program (imagenet2012): where the files lie that you
        downloaded; None is `data_dir/downloads/manual`.
      name, size, on_error, quiet: of a folder, see `prepare_folder`.
    Returns:
      The directory of the prepared set.
    Raises:
      InputError: another kind of name, an option that is not of this kind, or what `prepare_folder` raises. Of a tfds:
        set: no such set, TensorFlow is not installed, the download failed, or files to download by hand are not there;
        the message says where to put them.
    """
    kind, _, rest = dataset.partition(":")
    if kind == "folder" and rest:
        if manual_dir is not None:
            raise InputError("manual_dir is of tfds: sets; a folder lies where it lies")
        return prepare_folder(rest, data_dir=data_dir, name=name, size=size, on_error=on_error, quiet=quiet)
    if kind == "tfds" and rest:
        if (name, size, on_error) != (None, None, "raise"):
            raise InputError(f"name, size and on_error are of folders; {dataset} is prepared as TFDS defines it")
        return _prepare_tfds(rest, data_dir, manual_dir)
    raise InputError(f"'{dataset}' cannot be prepared; it is tfds:NAME, for example tfds:cifar10, or folder:PATH")


def _prepare_tfds(name, data_dir, manual_dir):
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError(
            "to prepare a TFDS data set takes TensorFlow (to train from it does not): "
            + how_to_install("tensorflow importlib_resources", "prepare")
        )
    import tensorflow_datasets as tfds

    data_dir, manual_dir = (path and os.path.abspath(os.path.expanduser(path)) for path in (data_dir, manual_dir))
    try:
        there = tfds.builder(name, data_dir=data_dir)
        if there.is_prepared() and there.info.file_format.value != FORMAT:
            raise InputError(
                f"{there.data_path} is in {there.info.file_format.value} form, not {FORMAT}, and TFDS does not write "
                "over it: remove it, or give another --data_dir"
            )
        builder = tfds.builder(name, data_dir=data_dir, file_format=FORMAT)
        with _no_vain_retries(builder):
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    except InputError:
        raise
    except tfds.core.DatasetNotFoundError as error:  # its message lists all of them
        known = tfds.list_builders(with_community_datasets=False)
        raise InputError(f"tensorflow-datasets has no set {name!r}; {nearest(name, known)}") from error
    except Exception as error:  # each set is code of its own; files to download by hand are asserted, with where to
        raise InputError(f"tfds:{name} could not be prepared: {type(error).__name__}: {error}") from error
    return os.fspath(builder.data_path)


@contextlib.contextmanager
def _no_vain_retries(builder):
    """Without a network a download fails at once; TFDS tries ten times more, for minutes, and tells of each try.

    What was downloaded before is used all the same.
    """
    from tensorflow_datasets.core.download import downloader

    logging.getLogger("urllib3").setLevel(logging.ERROR)
    if urllib.request.getproxies() or _one_answers(builder.url_infos or ()):
        yield
        return
    place = os.fspath(builder.data_path)  # while it downloads, it is another

    def refuse(url, **options):
        raise InputError(
            f"{url} cannot be downloaded: {_address(url)[0]} cannot be reached. Without a network, prepare the set on "
            f"another machine and copy {place}; behind a proxy, set HTTPS_PROXY."
        )

    open_url = downloader._open_url
    downloader._open_url = refuse
    try:
        yield
    finally:
        downloader._open_url = open_url


def _one_answers(urls):
    """Whether one of the hosts answers, of three at most; of a set that names none nothing is known, which counts."""
    addresses = list(dict.fromkeys(_address(url) for url in urls if url.startswith(tuple(PORTS))))[:3]
    return not addresses or any(map(_answers, addresses))


def _address(url):
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port or PORTS[parts.scheme]


def _answers(address):
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
