import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def image_folder(tmp_path):
    """make(layout, root=tmp_path) writes `{"train/cat": 3, ...}` random images of 12x10 as PNG; returns root."""

    def make(layout, root=tmp_path):
        random = np.random.default_rng(0)
        for folder, count in layout.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                Image.fromarray(random.integers(0, 256, (12, 10, 3), np.uint8)).save(root / folder / f"{i:03d}.png")
        return root

    return make
