"""Preparing sets of tensorflow-datasets: with a set of our own that needs neither a download nor TensorFlow."""

import importlib.util
import io
import pathlib
import socket

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from jaxcnn.data import load
from jaxcnn.data.prepare import prepare
from jaxcnn.errors import InputError


class JaxcnnTestStripes(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("2.1.0")
    pkg_dir_path = pathlib.Path(__file__).parent

    def _info(self):
        features = {"image": tfds.features.Image(shape=(6, 5, 3)), "label": tfds.features.ClassLabel(names=["a", "b"])}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, manager):
        return {"train": self._generate_examples(7), "test": self._generate_examples(4)}

    def _generate_examples(self, count):
        for i in range(count):
            file = io.BytesIO()
            Image.fromarray(np.full((6, 5, 3), 10 * i, np.uint8)).save(file, "PNG")
            yield i, {"image": file.getvalue(), "label": i % 2}


class JaxcnnTestByHand(JaxcnnTestStripes):
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put stripes.tar there."

    def _split_generators(self, manager):
        if not (manager.manual_dir / "stripes.tar").exists():
            raise AssertionError(f"no stripes.tar in {manager.manual_dir}")
        return super()._split_generators(manager)


URL = "https://stripes.invalid/stripes.tar"  # no host is ever called .invalid (RFC 2606)


class JaxcnnTestFromAfar(JaxcnnTestStripes):
    url_infos = {URL: tfds.download.checksums.UrlInfo(size=1, checksum="0" * 64, filename="stripes.tar")}

    def _split_generators(self, manager):
        manager.download(URL)


@pytest.fixture(autouse=True)
def tensorflow_is_installed(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: find("json" if name == "tensorflow" else name, *a)
    )


def test_a_set_is_prepared_in_array_record_form(tmp_path):
    for _ in range(2):  # the second time it is there
        assert prepare("tfds:jaxcnn_test_stripes", data_dir=tmp_path) == str(tmp_path / "jaxcnn_test_stripes/2.1.0")
    records = load("tfds:jaxcnn_test_stripes", "train", data_dir=tmp_path)
    grey = [records[i]["image"][0, 0, 0] for i in range(7)]
    assert sorted(grey) == [0, 10, 20, 30, 40, 50, 60] and records.classes == ("a", "b")
    assert [records[i]["label"] for i in range(7)] == [value // 10 % 2 for value in grey]
    assert len(load("tfds:jaxcnn_test_stripes:2.1.0", "test", data_dir=tmp_path)) == 4


def test_another_form_is_not_written_over(tmp_path):
    builder = tfds.builder("jaxcnn_test_stripes", data_dir=tmp_path)
    builder.info.set_file_format("tfrecord")
    builder.info.set_splits(tfds.core.splits.SplitDict([]))
    pathlib.Path(builder.data_dir).mkdir(parents=True)
    builder.info.write_to_directory(builder.data_dir)
    with pytest.raises(InputError, match=r"is in tfrecord form, not array_record.*remove it"):
        prepare("tfds:jaxcnn_test_stripes", data_dir=tmp_path)


def test_files_to_download_by_hand(tmp_path):
    with pytest.raises(InputError, match=f"(?s){tmp_path}/downloads/manual.*Put stripes.tar there"):
        prepare("tfds:jaxcnn_test_by_hand", data_dir=tmp_path)
    manual_dir = tmp_path / "mine"
    manual_dir.mkdir()
    (manual_dir / "other.tar").touch()
    with pytest.raises(InputError, match=f"no stripes.tar in {manual_dir}"):
        prepare("tfds:jaxcnn_test_by_hand", data_dir=tmp_path, manual_dir=manual_dir)
    (manual_dir / "stripes.tar").touch()
    prepare("tfds:jaxcnn_test_by_hand", data_dir=tmp_path, manual_dir=manual_dir)
    assert len(load("tfds:jaxcnn_test_by_hand", "train", data_dir=tmp_path)) == 7


def test_no_such_set(tmp_path):
    with pytest.raises(InputError, match=r"no set 'jaxcnn_test_strips'; did you mean 'jaxcnn_test_stripes'"):
        prepare("tfds:jaxcnn_test_strips", data_dir=tmp_path)


def test_without_a_network_it_says_so_after_one_try(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("urllib.request.getproxies", dict)
    asked = []
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *options, **more: asked.append(host) or _no_such_host())
    with pytest.raises(InputError, match=rf"stripes\.invalid cannot be reached.*copy {tmp_path}/\w+/2\.1\.0;"):
        prepare("tfds:jaxcnn_test_from_afar", data_dir=tmp_path)
    assert asked == ["stripes.invalid"] and "urllib3" not in caplog.text


def _no_such_host():
    raise socket.gaierror(socket.EAI_NONAME, "no such host")
