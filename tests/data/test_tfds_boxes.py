"""Tiny sets of tensorflow-datasets: with the features of voc/2007 and coco/2017, and one with a damaged record."""

import io
import pathlib
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxcnn.data import DataError, load, read_all
from jaxcnn.errors import InputError

HEIGHT, WIDTH = 30, 40
LABELS = tfds.features.ClassLabel(names=["cat", "dog"])


def encoded(number, orientation=1):
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)).save(file, "PNG", exif=exif)
    return file.getvalue()


def shares(x1, y1, x2, y2):
    return tfds.features.BBox(ymin=y1 / HEIGHT, xmin=x1 / WIDTH, ymax=y2 / HEIGHT, xmax=x2 / WIDTH)


class Voc(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("5.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="2007", version=VERSION)]
    pkg_dir_path = pathlib.Path(__file__).parent
    own = {"is_difficult": np.bool_, "is_truncated": np.bool_}

    def _info(self):
        objects = {"label": LABELS, "bbox": tfds.features.BBoxFeature(), **self.own}
        features = {"image": tfds.features.Image(), "objects": tfds.features.Sequence(objects)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, manager):
        return {"train": self._generate_examples(), "test": self._generate_examples()}

    def _generate_examples(self):
        # VOC's corners, 3 to 12 and 5 to 20 from 1, both inside; TFDS divides them as they are
        box = {"label": "dog", "bbox": shares(3, 5, 12, 20), "is_difficult": False, "is_truncated": True}
        whole = {"label": "cat", "bbox": shares(1, 1, 40, 30), "is_difficult": True, "is_truncated": False}
        yield 0, {"image": encoded(0), "objects": [box, whole]}
        yield 1, {"image": encoded(1), "objects": []}


class Coco(Voc):
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="2017", version=Voc.VERSION)]
    own = {"is_crowd": np.bool_, "area": np.int64}

    def _generate_examples(self):
        yield (
            0,
            {"image": encoded(0), "objects": [self.box(2, 4, 12, 20.5, 77), self.box(0, 0, 40, 30, 900, crowd=True)]},
        )
        yield 1, {"image": encoded(1), "objects": [self.box(0, 0, 1, 1, 1)] * 129}
        yield 2, {"image": encoded(2), "objects": [self.box(4, 4, 4, 9, 1)]}
        yield 3, {"image": encoded(3, orientation=6), "objects": [self.box(2, 4, 12, 20, 1)]}  # a quarter turn

    def box(self, *corners, crowd=False):
        return {"label": "dog", "bbox": shares(*corners[:4]), "area": corners[4], "is_crowd": crowd}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (Voc, Coco):
        made = builder(data_dir=str(folder), file_format="array_record")
        made.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    return folder


def by_name(records):
    """Records by the brightness of their image: TFDS shuffles."""
    return {int(image[0, 0, 0]) // 10: number for number, image in enumerate(read_all(records)["image"])}


def test_voc_in_tfds_keeps_its_corners(prepared):
    records = load("tfds:voc/2007", "train", data_dir=prepared, image_size=(HEIGHT, WIDTH))
    assert records.classes == ("cat", "dog") and records.fields["boxes"] == ((128, 4), np.float32)
    places = by_name(records)
    full, empty = (pickle.loads(pickle.dumps(records))[places[name]] for name in (0, 1))
    assert full["box_mask"].sum() == 2 and not empty["box_mask"].any()
    assert full["boxes"][:2].tolist() == [[2, 4, 12, 20], [0, 0, 40, 30]]
    assert full["box_label"][:2].tolist() == [1, 0] and full["box_ignored"][:2].tolist() == [False, True]
    assert full["box_area"][:2].tolist() == [160, 1200] and full["size"].tolist() == [HEIGHT, WIDTH]


def test_coco_in_tfds_counts_from_zero_and_damage_is_named(prepared):
    records = load("tfds:coco/2017", "test", data_dir=prepared, image_size=(HEIGHT, WIDTH), on_error="skip")
    found = read_all(records)
    assert sorted(found["mask"].tolist()) == [0, 0, 0, 1]
    (whole,) = np.flatnonzero(found["mask"])
    assert found["boxes"][whole, :2].tolist() == [[2, 4, 12, 20.5], [0, 0, 40, 30]]
    assert found["box_ignored"][whole, :2].tolist() == [False, True] and found["box_area"][whole, :2].tolist() == [
        77,
        900,
    ]
    strict = load("tfds:coco/2017", "test", data_dir=prepared, image_size=(HEIGHT, WIDTH))
    said = []
    for number in np.flatnonzero(found["mask"] == 0):
        with pytest.raises(DataError) as error:
            strict[int(number)]
        said.append(str(error.value))
    assert any("129 boxes; 128 are read at most" in words for words in said)
    assert any(r"box from (4, 4) to (4, 9) has no area" in words for words in said)
    assert any("is 30 wide and 40 high, but its annotation is of one that is 40 wide and 30" in words for words in said)


class Labelled(Voc):
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="own", version=Voc.VERSION)]

    def _info(self):
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(), "label": LABELS})
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"))

    def _generate_examples(self):
        yield from ((number, {"image": encoded(number), "label": "dog"}) for number in range(4))


def test_the_class_of_a_record_that_cannot_be_read_is_not_made_up(tmp_path):
    made = Labelled(data_dir=str(tmp_path), file_format="array_record")
    made.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    records = load("tfds:labelled/own", "train", data_dir=tmp_path, image_size=(HEIGHT, WIDTH))
    assert records.labels().tolist() == [1] * 4
    (file,) = pathlib.Path(made.data_dir).glob("*train*array_record*")
    content = bytearray(file.read_bytes())
    place = content.find(b"\x89PNG")
    content[place : place + 16] = bytes(16)
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"train record \d: the array_record cannot be read .* Its class is not known"):
        load("tfds:labelled/own", "train", data_dir=tmp_path, image_size=(HEIGHT, WIDTH)).labels()
