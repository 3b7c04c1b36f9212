"""Damaged files of a run are named, and it resumes where it can."""

import gc
import json
import os
import re
import shutil

import jax
import numpy as np
import pytest

import jaxcnn
from jaxcnn.errors import InputError
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.state import State

# What Orbax's event loops leave behind when a read fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine ")


@pytest.fixture(autouse=True)
def collected():
    """Their coroutines are collected in the test that made them."""
    yield
    gc.collect()


@pytest.fixture
def copy(tiny_run, tmp_path):
    """A finished run with checkpoints of steps 10 and 20, to be spoilt."""
    shutil.copytree(tiny_run, tmp_path / "run")
    return tmp_path / "run"


def data(step):
    """The largest file of a checkpoint: where its arrays are."""
    return max(step.glob("state/ocdbt.process_0/d/*"), key=lambda file: file.stat().st_size)


def flip(file, place):
    """Turns one bit, at a fraction of the file's length."""
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 1
    file.write_bytes(content)


def emptied(folder):
    shutil.rmtree(folder)
    folder.mkdir()


# kind: (what happens to a checkpoint, what its error names)
DAMAGE = {
    "data cut short": (lambda step: os.truncate(data(step), 1000), "20/state: the array"),
    "data emptied": (lambda step: os.truncate(data(step), 0), "20/state: the array"),
    "data gone": (lambda step: data(step).unlink(), "20/state: the array"),
    "a bit turned": (lambda step: flip(data(step), 0.6), "20/state: "),
    "_METADATA gone": (lambda step: (step / "state/_METADATA").unlink(), "there is no file .*state/_METADATA"),
    "_METADATA cut short": (lambda step: os.truncate(step / "state/_METADATA", 1000), "state/_METADATA is damaged: l"),
    "manifest gone": (lambda step: (step / "state/manifest.ocdbt").unlink(), "there is no file .*manifest.ocdbt"),
    "JSON gone": (lambda step: (step / "_CHECKPOINT_METADATA").unlink(), "there is no file .*_CHECKPOINT_METADATA"),
    "JSON emptied": (lambda step: os.truncate(step / "_CHECKPOINT_METADATA", 0), "_CHECKPOINT_METADATA is damaged: l"),
    "JSON another type": (lambda step: (step / "_CHECKPOINT_METADATA").write_text("[1]"), "it holds list, not dict"),
    "a digit of the JSON": (
        lambda step: (step / "_CHECKPOINT_METADATA").write_text(
            (step / "_CHECKPOINT_METADATA").read_text().replace('"records": 640', '"records": 641')
        ),
        "_CHECKPOINT_METADATA does not hold what was saved",
    ),
    "state gone": (lambda step: shutil.rmtree(step / "state"), "there is no file .*state/_METADATA"),
    "empty folder": (emptied, "20 is empty"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_checkpoint_is_named_with_its_file_and_the_intact_one_offered(copy, kind):
    damage, named = DAMAGE[kind]
    damage(copy / "checkpoints" / "20")
    with pytest.raises(InputError, match=rf"checkpoint .*/20 is damaged: .*{named}.*\. Intact: --checkpoint 10 \(in"):
        jaxcnn.Trained(copy, "latest")
    assert jaxcnn.Trained(copy, 10).step == 10
    with Checkpoints(copy / "checkpoints") as checkpoints:
        assert list(checkpoints.damaged) == [20]
        assert checkpoints.steps() == [10]
        assert checkpoints.resolve("best") == 10
    assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == ["10", "20.damaged"]


def test_no_turned_bit_changes_a_number_unnoticed(copy):
    step = copy / "checkpoints" / "20"
    file = data(step)
    content = file.read_bytes()
    reader = Checkpoints(copy / "checkpoints", read_only=True)
    found = []
    for place in np.linspace(0, 0.99, 12):
        flip(file, place)
        found.append(reader.damage(20))
        file.write_bytes(content)
    assert reader.damage(20) is None
    assert sum(reason is not None for reason in found) >= 6, "of the rest of the file the arrays are not read"
    assert any("other numbers than were saved" in reason for reason in found if reason)


@pytest.fixture
def again(tiny_config):
    """again(workdir): the command that made the run, once more."""
    return lambda workdir, **more: jaxcnn.train(tiny_config(), workdir, devices=jax.devices()[:1], **more)


def test_a_run_resumes_from_the_checkpoint_before_a_damaged_one_and_says_so(
    copy, again, tiny_run, numbers, rows, capsys
):
    whole = again(tiny_run, quiet=True)
    flip(data(copy / "checkpoints" / "20"), 0.6)
    resumed = again(copy)
    line = r"checkpoint 20 is damaged \(.*20/state: .*\); resuming from 10\n"
    assert re.search(line, capsys.readouterr().err)
    assert '"event": "damaged", "step": 10, "checkpoint": 20' in (copy / "metrics.jsonl").read_text()
    ours, theirs = numbers(resumed.state), numbers(whole.state)
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert rows(copy) == rows(tiny_run)
    assert (resumed.validation, resumed.test) == (whole.validation, whole.test)
    assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == ["10", "20", "20.damaged"]
    assert Checkpoints(copy / "checkpoints", read_only=True).damage(20) is None


def test_where_no_checkpoint_is_intact_nothing_is_touched_and_a_way_is_shown(copy, again):
    for step in ("10", "20"):
        data(copy / "checkpoints" / step).unlink()
    expected = rf"no checkpoint in .* is intact\. .*10/state: .*; .*20/state: .*another workdir, or remove {copy} to"
    with pytest.raises(InputError, match=expected):
        again(copy, quiet=True)
    assert sorted(path.name for path in (copy / "checkpoints").iterdir()) == ["10", "20"]
    with pytest.raises(InputError, match=r"10 is damaged: .*\. None of this run is intact\."):
        jaxcnn.Trained(copy, 10)


def test_the_best_is_found_beside_a_checkpoint_whose_json_is_damaged(copy, caplog):
    os.truncate(copy / "checkpoints" / "20" / "_CHECKPOINT_METADATA", 100)
    assert jaxcnn.Trained(copy).step == 10
    assert any("20/_CHECKPOINT_METADATA is damaged" in record.getMessage() for record in caplog.records)


def test_a_checkpoint_of_an_older_version_has_no_checksums_and_is_read(copy, again):
    for step in ("10", "20"):
        file = copy / "checkpoints" / step / "_CHECKPOINT_METADATA"
        content = json.loads(file.read_text())
        del content["custom_metadata"]["checksum"], content["custom_metadata"]["arrays"]
        file.write_text(json.dumps(content))
    assert again(copy, quiet=True).step == 20
    data(copy / "checkpoints" / "20").unlink()
    with pytest.raises(InputError, match=r"20 is damaged: .*Intact: --checkpoint 10 \(in Python: checkpoint=10\)\."):
        jaxcnn.Trained(copy, "latest")


def test_a_network_with_numbers_that_are_not_finite_is_refused_by_their_tensors(tmp_path, tiny_run):
    shutil.copytree(tiny_run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    trained = jaxcnn.Trained(tiny_run)
    params = jax.tree.map(np.asarray, trained.variables["params"])
    params["output"]["bias"] = np.full(10, np.nan, np.float32)
    state = State(np.int32(1), params, {}, {}, None, jax.random.key(0), {})
    with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
        checkpoints.save(1, jax.tree.map(jax.numpy.asarray, state), memory={})
    with pytest.raises(InputError, match=r"checkpoint 1 of .*run holds numbers .* not finite: params/output/bias\."):
        jaxcnn.Trained(tmp_path / "run")
