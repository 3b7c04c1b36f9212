"""scikit-learn's 1,797 handwritten digits of 8x8 pixels, embedded in the package: a data set with no download."""

import numpy as np

from jaxcnn.data.arrays import Arrays

IMAGE_SIZE = (32, 32)  # what LeNet-5 takes, and the least that the CIFAR networks take


def digits() -> Arrays:
    """Returns the Source of the digits: `train` of 1,437 and `test` of 360 records, uint8 (8, 8, 1), 10 classes.

    The test split is stratified and fixed, and so is the shuffled order, so that a slice of train is close to
    stratified too. The stored grey levels 0..16 become 0..255.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    images = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=360, stratify=labels, random_state=0
    )
    splits = {"train": (train_images, train_labels), "test": (test_images, test_labels)}
    return Arrays("digits", splits, map(str, range(10)))
