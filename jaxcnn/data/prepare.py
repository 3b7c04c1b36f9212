"""Prepares tensorflow-datasets in array_record form, the only step that needs TensorFlow."""

import importlib.util

from jaxcnn.errors import InputError


def prepare(name, *, data_dir=None):
    """Downloads `tfds:NAME` and writes it as array_record files.

    Args:
      name: "tfds:cifar10"; a config behind a slash.
      data_dir: where to; None is TFDS's own directory.
    Returns:
      The directory of the prepared set.
    Raises:
      InputError: not a tfds: name, no such set, TensorFlow is not installed, or the download failed.
    """
    if not name.startswith("tfds:"):
        raise InputError(
            f"'{name}' is not a TFDS data set; it is written tfds:NAME, for example tfds:cifar10. A folder of "
            "images needs no preparation: config.data.name='folder:PATH'."
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise InputError(
            "to prepare a TFDS data set takes TensorFlow (to train from it does not): pip install 'jaxcnn[prepare]'"
        )
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(
            name.removeprefix("tfds:").replace(":", "/"), data_dir=data_dir, file_format="array_record"
        )
        builder.download_and_prepare()
    except (tfds.core.DatasetNotFoundError, tfds.download.DownloadError, OSError, ValueError) as error:
        raise InputError(f"{name} could not be prepared: {error}") from error
    return builder.data_path
