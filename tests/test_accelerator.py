"""The accelerator kit: its parts end, go on and are named; what travels arrives whole."""

import importlib
import json
import pathlib
import subprocess
import sys
import tarfile
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def kit(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "experiments")
    return importlib.import_module("accelerator")


class Part(NamedTuple):
    name: str
    command: tuple
    about: str = ""
    rows: str = "rows.json"
    environment: dict = {}
    resumes: bool = False


def python(code):
    return (sys.executable, "-c", code)


def test_a_part_that_is_done_is_not_run_again_and_one_that_failed_is(kit, tmp_path, monkeypatch):
    monkeypatch.setattr(kit, "LEAST_S", 0)

    def run(name, code, limit_s=60, tiny=False):
        return kit.run_part(Part(name, python(code)), tmp_path, {}, {"commit": "abc"}, limit_s=limit_s, tiny=tiny)

    assert run("a", "print('well')") == kit.DONE
    assert run("a", "raise SystemExit('again')") == kit.DONE
    assert run("b", "raise SystemExit('broken')") == kit.FAILED
    assert run("c", "import threading; threading.Event().wait()", limit_s=0.5) == kit.UNFINISHED
    results = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in "abc"}
    assert results["a"]["output"] == "well\n" and results["a"]["commit"] == "abc"
    assert "broken" in results["b"]["output"] and results["c"]["status"] == kit.UNFINISHED
    assert run("b", "print('mended')") == kit.DONE
    with pytest.raises(ValueError, match=r"a\.json is of a run without --tiny: name another --output"):
        run("a", "print('tiny')", tiny=True)


def test_results_come_back_without_the_parts_which_leave_out_checkpoints_of_what_has_ended(kit, tmp_path):
    results = tmp_path / "kit"
    for part in ("speed", "cifar10"):
        (results / part / "0" / "checkpoints" / "7").mkdir(parents=True)
        (results / part / "0" / "checkpoints" / "7" / "state").write_bytes(b"state")
        (results / part / "0" / "metrics.jsonl").write_text("{}")
    (results / "speed.json").write_text("{}")
    kit._kit_carry.pack(results, tmp_path / "packed", ended=["speed"])
    with tarfile.open(tmp_path / "packed" / "results.tar") as tar:
        files = {entry.name for entry in tar if entry.isfile()}
    assert files == {"kit/speed.json", "kit/speed/0/metrics.jsonl", "kit/cifar10/0/metrics.jsonl"}
    joined = kit._kit_carry.join(tmp_path / "packed", tmp_path / "there")
    states = [str(path.relative_to(joined)) for path in joined.rglob("state")]
    assert states == ["cifar10/0/checkpoints/7/state"] and (joined / "speed/0/metrics.jsonl").is_file()


def test_the_newest_state_of_what_has_not_ended_is_carried_unless_it_is_too_large(kit, tmp_path, monkeypatch):
    results, sweep = tmp_path / "kit", tmp_path / "kit" / "cifar10"
    for run in (".population/a", "ended", "begun"):
        for step in ("9", "10"):
            (sweep / run / "checkpoints" / step).mkdir(parents=True)
            (sweep / run / "checkpoints" / step / "state").write_bytes(b"state")
    (sweep / "ended" / "evaluations.jsonl").write_text("{}")
    assert kit._kit_carry.pack(results, tmp_path / "packed") == ["part000"]
    joined = kit._kit_carry.join(tmp_path / "packed", tmp_path / "there")
    states = sorted(str(path.parent.relative_to(joined / "cifar10")) for path in joined.rglob("state"))
    assert states == [".population/a/checkpoints/10", "begun/checkpoints/10"]
    monkeypatch.setattr(kit._kit_carry, "BACK_MIB", 0.01)
    assert kit._kit_carry.pack(results, tmp_path / "again") == []
    assert [path.name for path in (tmp_path / "again").iterdir()] == ["results.tar"]


def test_a_file_and_a_folder_arrive_whole_and_damage_is_named(kit, tmp_path, monkeypatch):
    folder = tmp_path / "data"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/file").write_bytes(bytes(range(256)) * 40)
    names = kit._kit_carry.split(folder, tmp_path / "parts", part_mib=1 / 256)
    assert len(names) > 2
    joined = kit._kit_carry.join(tmp_path / "parts", tmp_path / "there")
    assert (joined / "inner/file").read_bytes() == (folder / "inner/file").read_bytes()
    (tmp_path / "parts" / names[1]).write_bytes(b"other")
    with pytest.raises(ValueError, match=f"{names[1]} is damaged"):
        kit._kit_carry.join(tmp_path / "parts", tmp_path / "again")
    (tmp_path / "parts" / names[1]).unlink()
    with pytest.raises(ValueError, match=f"{names[1]} is missing"):
        kit._kit_carry.join(tmp_path / "parts", tmp_path / "again")


@pytest.mark.long
def test_every_part_runs_on_tiny_sizes(tmp_path):
    command = [sys.executable, ROOT / "experiments/accelerator.py", "run", "--tiny", "--output", tmp_path / "kit"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout and (tmp_path / "kit/profile.md").read_text().count("\n| ") > 1
