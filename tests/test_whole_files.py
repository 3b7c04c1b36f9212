"""Files are written whole or not at all; damaged ones are named."""

import os
import stat

import pytest

from jaxcnn.errors import InputError
from jaxcnn.files import read_json, replaced, write_json, write_text


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path):
    path = tmp_path / "report.html"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replaced(path) as temporary:
        temporary.write_text("ne")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_mode_is_the_umasks_whatever_the_writer_sets(tmp_path):
    old = os.umask(0o027)
    try:
        with replaced(tmp_path / "a.bin") as temporary:
            temporary.write_bytes(b"x")
            temporary.chmod(0o600)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == 0o640


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone/a\.txt cannot be written: No such file or directory"):
        write_text(tmp_path / "gone" / "a.txt", "")


def test_a_full_disk_is_named_and_the_old_file_stays(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    named = pytest.raises(InputError, match=r"a\.txt cannot be written: the disk is full\. a\.txt is as it was")
    with named, replaced(path), open("/dev/full", "w") as full:
        full.write("x" * 100_000)
    assert path.read_text() == "old"


def test_json_comes_back_and_a_damaged_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "data.json"
    write_json(path, {"classes": ["a", "b"]})
    assert read_json(path) == {"classes": ["a", "b"]}
    whole = path.read_bytes()
    found = {whole[:-6]: "line 4", b"": "line 1", b"[1]": "list, not dict", b"\xff\xfe": "UTF-8"}
    for damaged, reason in found.items():
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=rf"data\.json is damaged: .*{reason}"):
            read_json(path)
