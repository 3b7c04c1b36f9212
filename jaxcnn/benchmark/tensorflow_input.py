"""tf.data's side of the input benchmark."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from jaxcnn.data.crop import ResizedCrop


@contextlib.contextmanager
def loader(
    paths: Sequence[str],
    labels: Sequence[int],
    crop: ResizedCrop,
    image_size: tuple[int, int],
    *,
    batch_size: int,
    workers: int,
) -> Generator[Iterator[Any]]:
    """An iterator without end of (uint8 (n, h, w, 3), labels), in a random order; arguments as torch_input's."""

    def read(path, label):
        file = tf.io.read_file(path)
        shape = tf.image.extract_jpeg_shape(file)
        start, size, _ = tf.image.sample_distorted_bounding_box(
            shape,
            tf.zeros((0, 0, 4)),
            aspect_ratio_range=crop.aspect,
            area_range=crop.area,
            max_attempts=10,
            use_image_if_no_bounding_boxes=True,
        )
        box = tf.concat([start[:2], size[:2]], axis=0)
        image = tf.io.decode_and_crop_jpeg(file, box, channels=3)
        return tf.cast(tf.round(tf.image.resize(image, image_size)), tf.uint8), label

    dataset = tf.data.Dataset.from_tensor_slices((paths, labels)).shuffle(len(paths), seed=0).repeat()
    dataset = dataset.map(read, num_parallel_calls=max(1, workers), deterministic=True)
    dataset = dataset.batch(batch_size).prefetch(2)
    options = tf.data.Options()
    options.threading.private_threadpool_size = max(1, workers)
    options.threading.max_intra_op_parallelism = 1
    yield dataset.with_options(options).as_numpy_iterator()
