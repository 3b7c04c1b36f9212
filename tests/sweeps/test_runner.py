"""Running a study: what is done is skipped, what was broken off is resumed, what fails hides nothing."""

import csv
import fcntl
import json
import shutil
import signal

import pytest

from jaxcnn.cli import main
from jaxcnn.errors import InputError
from jaxcnn.sweeps import Claim, Measure, Study, run_study
from jaxcnn.sweeps.runner import collect
from jaxcnn.sweeps.status import states
from jaxcnn.training.config import to_json
from jaxcnn.training.processes.preemption import Preempted
from jaxcnn.training.rundir.log import MetricsLog

STARTED = "environment.json"

# A network of a user's own whose fault the check of the study, which traces it on a few images, cannot see.
FAULT = """
import flax.linen as nn


class Net(nn.Module):
    num_classes: int = 10

    @nn.compact
    def __call__(self, x, *, train):
        if train and len(x) > 2:
            raise RuntimeError("a slip of mine")
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1)), {}


def build(**options):
    return Net()
"""


def starts(folder):
    return json.loads((folder / STARTED).read_text())["starts"]


def events(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row.get("event") == "resumed"]


def table(workdir):
    with (workdir / "results.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def study(tiny_config):
    factors = {"optimizer.learning_rate": (0.1, 1e30, 0.05)}
    claim = Claim(
        "A high rate ends lower.", {"optimizer.learning_rate": 0.05}, {"optimizer.learning_rate": 0.1}, "first"
    )
    first = Measure(lambda rows: next(row["loss"] for row in rows if row.get("split") == "train"), log=True)
    options = {"claims": (claim,), "measures": {"first": first}, "baseline": {"optimizer.learning_rate": 0.1}}
    return Study(tiny_config({"optimizer.momentum": 0.0}), factors, seeds=(0,), **options)


@pytest.fixture(scope="module")
def finished(study, tmp_path_factory):
    """(workdir, cells, failed) of a study of which the second level diverges."""
    workdir = tmp_path_factory.mktemp("study") / "deep"
    return workdir, *run_study(study, workdir, title="Which rate?", docstring="A claim.", quiet=True)


def test_a_failing_run_is_named_and_hides_no_other(study, finished):
    workdir, cells, failed = finished
    good, bad, other = study.runs()
    assert list(failed) == [bad.id] and "diverged" in failed[bad.id]
    assert [cell.name for cell in cells] == [run.cell for run in study.runs()]
    assert [len(cell.values["test_top1"]) for cell in cells] == [1, 0, 1]
    assert "diverged" in cells[1].left[0] and cells[1].left[0].startswith(f"{bad.id}: failed: ")
    assert cells[0].seeds == cells[2].seeds == [0]
    for run, cell in ((good, cells[0]), (other, cells[2])):
        logged = json.loads((workdir / run.id / "evaluations.jsonl").read_text())
        assert cell.values["test_top1"] == [logged["top1"]] and logged["split"] == "test"
        assert cell.values["seconds"][0] > 0 and cell.rows[0]


def test_cells_hold_what_the_run_directories_say(study, finished):
    workdir, (cell, bad, _), _ = finished
    folder = workdir / study.runs()[0].id
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    train = [row for row in rows if row.get("split") == "train"]
    (logged,) = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    held_out = {row["step"]: row["top1"] for row in rows if row.get("split") == "validation"}
    last = train[-1]
    expected = {"test_loss": logged["loss"], "validation_top1": held_out[logged["step"]], "train_top1": last["top1"]}
    expected |= {"train_loss": last["loss"], "seconds": last["seconds"], "steps": 20, "first": train[0]["loss"]}
    assert {name: cell.values[name] for name in expected} == {name: [value] for name, value in expected.items()}
    rates = [row["images_per_second"] for row in train]
    assert min(rates) <= cell.values["images_per_second"][0] <= max(rates)
    (_, wrong) = cell.tested[0]
    assert wrong == logged["wrong"] and len(wrong) == round(logged["n"] * (1 - logged["top1"])) > 0
    # 4 filters of 3x3, padded, halved to 4x4, and ten outputs
    assert cell.cost == {"parameters": 4 * 9 + 4 + 64 * 10 + 10, "macs": 64 * 4 * 9 + 64 * 10} and bad.cost == {}


def test_a_run_that_another_process_is_at_is_named_and_hides_no_other(study, finished, tmp_path):
    taken, _, _ = study.runs()
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    shutil.rmtree(workdir / taken.id)
    (workdir / taken.id).mkdir()
    with (workdir / taken.id / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as another process does: what this one holds it may use
        cells, failed = run_study(study, workdir, title="", quiet=True)
    assert failed[taken.id] == "running"
    assert [len(cell.seeds) for cell in cells] == [0, 0, 1]


def test_a_persons_own_look_at_the_test_split_is_not_the_end_of_a_run(study, finished, tmp_path):
    workdir, cells, _ = finished
    run = study.runs()[0]
    shutil.copytree(workdir / run.id, tmp_path / run.id)
    log = tmp_path / run.id / "evaluations.jsonl"
    looked = {**json.loads(log.read_text()), "top1": -1.0}
    looked.pop("final")
    log.write_text(json.dumps(looked) + "\n")
    levels = Study(study.base, {"optimizer.learning_rate": (0.1,)}, seeds=(0,))
    again, failed = run_study(levels, tmp_path, title="", quiet=True)
    assert not failed and again[0].values["test_top1"] == cells[0].values["test_top1"]


def test_killed_while_it_kept_its_test_a_run_is_tested_again(study, finished, tmp_path):
    workdir, cells, _ = finished
    run = study.runs()[0]
    shutil.copytree(workdir / run.id, tmp_path / run.id)
    log = tmp_path / run.id / "evaluations.jsonl"
    log.write_text(log.read_text()[:50])
    levels = Study(study.base, {"optimizer.learning_rate": (0.1,)}, seeds=(0,))
    again, failed = run_study(levels, tmp_path, title="", quiet=True)
    assert not failed and again[0].values["test_top1"] == cells[0].values["test_top1"]
    assert len(log.read_text().splitlines()) == 2


def test_the_status_tells_how_far_every_run_is(study, finished, tmp_path):
    workdir, good, other = tmp_path / "w", study.runs()[0], study.runs()[2]
    shutil.copytree(finished[0], workdir)
    found = {run: (state, step) for run, state, step in states(study, workdir)}
    assert found[good.id] == ("done", "20") and len(found) == 3
    assert found[study.runs()[1].id][0].startswith("failed: training diverged at step 1:")
    (workdir / other.id / "evaluations.jsonl").unlink()
    with (workdir / other.id / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert states(study, workdir)[2][1] == "running"
    assert states(study, workdir)[2] == (other.id, "stopped", "20")
    shutil.rmtree(workdir / other.id)
    assert states(study, workdir)[2][1:] == ("waiting", "")
    with pytest.raises(InputError, match="nothing was started there"):
        states(study, tmp_path / "elsewhere")


def test_results_csv_holds_every_run(study, finished):
    workdir, cells, _ = finished
    rows = table(workdir)
    assert [row["run"] for row in rows] == [run.id for run in study.runs()]
    assert [row["cell"] for row in rows] == [run.cell for run in study.runs()]
    assert [float(row["optimizer.learning_rate"]) for row in rows] == [0.1, 1e30, 0.05]
    assert [row["status"] for row in rows] == ["done", "failed", "done"] and rows[1]["test_top1"] == ""
    for row, cell in ((rows[0], cells[0]), (rows[2], cells[2])):
        assert {name: float(row[name]) for name in study.metrics} == {n: v[0] for n, v in cell.values.items()}
        assert int(row["checkpoint_step"]) in (10, 20)


def test_the_report_is_written(finished, study):
    workdir, cells, _ = finished
    source = (workdir / "report.html").read_text()
    assert "Which rate?" in source and "A claim." in source and "diverged" in source
    assert f"{100 * cells[0].values['test_top1'][0]:.2f}" in source
    assert all(run.cell in source for run in study.runs())
    verdicts = json.loads((workdir / "verdicts.json").read_text())
    (claim,) = verdicts["claims"]
    assert claim["verdict"] == "not decided" and claim["sentence"] in source and "A high rate ends lower." in source
    assert verdicts["baseline"] == study.runs()[0].cell
    tested = verdicts["comparisons"]["test_top1"][1]["mcnemar"]["seeds"][0]
    missed = [set(cell.tested[0][1]) for cell in (cells[2], cells[0])]
    assert (tested["only_first"], tested["only_second"]) == (len(missed[1] - missed[0]), len(missed[0] - missed[1]))


def test_what_is_done_is_skipped(study, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    good, bad, _ = study.runs()
    before = (workdir / "results.csv").read_text()
    cells, failed = run_study(study, workdir, title="Again", quiet=True)
    assert len(starts(workdir / good.id)) == 1
    assert len(starts(workdir / bad.id)) == 2 and list(failed) == [bad.id]
    assert (workdir / "results.csv").read_text() == before
    assert [cell.values for cell in cells] == [cell.values for cell in finished[1]]


def test_a_later_look_at_another_checkpoint_changes_no_result(study, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    good, _, other = study.runs()
    row = json.loads((workdir / good.id / "evaluations.jsonl").read_text())
    with (workdir / good.id / "evaluations.jsonl").open("a") as file:
        file.write(json.dumps({**row, "step": 10, "top1": 0.0}) + "\n")
    only = Study(study.base, {"optimizer.learning_rate": (0.1, 0.05)}, seeds=(0,))
    cells, failed = run_study(only, workdir, title="Again", quiet=True)
    assert not failed and cells[0].values["test_top1"] == [row["top1"]]
    assert [run.id for run in only.runs()] == [good.id, other.id]


def test_a_broken_off_run_is_resumed(tiny_config, tmp_path, monkeypatch):
    study = Study(tiny_config(), {}, seeds=(0, 1))
    first, second = study.runs()
    write = MetricsLog.write

    def write_and_end(log, row):
        write(log, row)
        if row.get("split") == "validation" and row["step"] == 10:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(MetricsLog, "write", write_and_end)
    with pytest.raises(Preempted):
        run_study(study, tmp_path, title="", quiet=True)
    monkeypatch.undo()
    assert not (tmp_path / second.id).exists()
    cells, failed = run_study(study, tmp_path, title="", quiet=True)
    assert not failed and len(cells[0].values["test_top1"]) == 2
    assert [row["step"] for row in events(tmp_path / first.id)] == [10]
    assert events(tmp_path / second.id) == []
    assert [start["from_step"] for start in starts(tmp_path / first.id)] == [0, 10]


def test_all_runs_may_fail(tiny_config, tmp_path):
    study = Study(tiny_config({"optimizer.learning_rate": 1e30}), {}, seeds=(0,))
    cells, failed = run_study(study, tmp_path / "study", title="", quiet=True)
    assert "diverged" in next(iter(failed.values())) and cells[0].values["test_top1"] == []
    assert table(tmp_path / "study")[0]["status"] == "failed"


def test_a_fault_in_the_users_own_network_hides_no_other_run(tiny_config, tmp_path, user_package, capsys):
    user_package("jaxcnn_test_fault", FAULT)
    study = Study(tiny_config({"duration": "2 steps"}), {"model.name": ("jaxcnn_test_fault:build", "convnet")}, (0,))
    cells, failed = run_study(study, tmp_path / "study", title="", quiet=True)
    assert list(failed.values()) == ["failed: RuntimeError: a slip of mine"]
    assert "RuntimeError: a slip of mine" in capsys.readouterr().err  # with its traceback
    assert [len(cell.values["test_top1"]) for cell in cells] == [0, 1]


def test_a_slip_in_a_measure_names_it_after_the_first_run(tiny_config, tmp_path):
    measures = {"mine": Measure(lambda rows: rows[0]["los"])}
    study = Study(tiny_config({"duration": "2 steps"}), {}, (0, 1), measures=measures)
    with pytest.raises(InputError, match=r"measure 'mine' failed on .*KeyError"):
        run_study(study, tmp_path, title="", quiet=True)
    assert not (tmp_path / study.runs()[1].id).exists()


def test_a_run_of_before_that_kept_no_images_is_read_too(study, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    for run in study.runs():
        log = workdir / run.id / "evaluations.jsonl"
        if log.exists():
            row = json.loads(log.read_text())
            del row["wrong"]
            log.write_text(json.dumps(row) + "\n")
    levels = Study(study.base, {"optimizer.learning_rate": (0.1, 0.05)}, (0,), {"optimizer.learning_rate": 0.1})
    run_study(levels, workdir, title="", quiet=True)
    verdicts = json.loads((workdir / "verdicts.json").read_text())
    assert verdicts["comparisons"]["test_top1"][0]["mcnemar"] is None


def test_a_place_that_cannot_be_written(tiny_config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        run_study(Study(tiny_config(), {}, (0,)), tmp_path / "file" / "study", title="", quiet=True)


def test_the_summary_says_what_the_numbers_were_computed_on(study, finished):
    workdir, cells, failed = finished
    text = (workdir / "summary.md").read_text()
    start = json.loads((workdir / study.runs()[0].id / STARTED).read_text())["starts"][-1]
    (claim,) = json.loads((workdir / "verdicts.json").read_text())["claims"]
    assert text.startswith("# Which rate?\n") and "A high rate ends lower. **Not decided** at n = 1" in text
    assert claim["sentence"].removeprefix("not decided") in text
    assert f"| {cells[0].name} | 1 | {100 * cells[0].values['test_top1'][0]:.2f} | n/a | n/a |" in text
    assert f"- commit: {start['git_commit'][:9]} (3 runs)" in text and f"jax {start['versions']['jax']}" in text
    (bad,) = failed
    assert f"- {bad}: failed: training diverged" in text
    assert (workdir / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_a_studys_file_says_more_when_every_run_is_done(study, finished, tmp_path, capsys):
    workdir = shutil.copytree(finished[0], tmp_path / "out")
    source = "from jaxcnn.sweeps import Study\nfrom jaxcnn.training.config import from_json\n\n\ndef study():\n"
    source += f"    base = from_json({to_json(study.base)!r})\n"
    source += "    return Study(base, {'optimizer.learning_rate': (0.1, 0.05)}, seeds=(0,))\n\n\n"
    path = tmp_path / "mine.py"
    path.write_text(source + "def analyse(study, workdir):\n    yield f'{len(study.runs())} in {workdir.name}'\n")
    assert main(["sweep", str(path), "--workdir", str(workdir)]) == 0
    assert "2 in out" in capsys.readouterr().out.splitlines()
    assert (workdir / "summary.md").read_text().endswith("\n- 2 in out\n")
    path.write_text(source + "def analyse(study, workdir):\n    raise KeyError('top1')\n")
    assert main(["sweep", str(path), "--workdir", str(workdir)]) == 2
    assert "mine.py, line" in capsys.readouterr().err


FILES = ("metrics.jsonl", "config.json", "data.json")
NO_TEXT, NO_ROW, NO_ROWS = b"\xff\xfe\x00 no text", b'{"final": true}\n', b"[1]\n[2]\n"
DAMAGES = [
    *(
        (name, damage)
        for name in ("metrics.jsonl", "config.json", "data.json")
        for damage in (NO_TEXT, NO_ROW, NO_ROWS)
    ),
    ("evaluations.jsonl", NO_ROW),
]


@pytest.mark.parametrize("name, damage", DAMAGES)
def test_a_damaged_run_is_named_and_the_others_are_collected(name, damage, study, finished, tmp_path):
    workdir, folders = tmp_path / "study", [run.id for run in study.runs()]
    for folder in folders:
        shutil.copytree(
            finished[0] / folder, workdir / folder, ignore=shutil.ignore_patterns("checkpoints", "*.events")
        )
    (workdir / folders[0] / name).write_bytes(damage)
    cells, failed = collect(study, workdir, title="again")
    assert list(failed) == folders[:2] and str(workdir / folders[0]) in failed[folders[0]]
    assert "damaged" in failed[folders[0]] and "\n" not in failed[folders[0]]
    assert failed[folders[0]].endswith(f". Move {workdir / folders[0]} away, and the next sweep trains the run again.")
    assert [len(cell.values["test_top1"]) for cell in cells] == [0, 0, 1]
    assert [row["status"] for row in table(workdir)] == ["failed", "failed", "done"]
    assert folders[0] in (workdir / "summary.md").read_text() and "damaged" in (workdir / "report.html").read_text()


@pytest.mark.parametrize("damage", [NO_TEXT, NO_ROWS])
def test_a_run_whose_evaluations_are_lost_is_not_finished_and_is_tested_again(damage, study, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    (workdir / study.runs()[0].id / "evaluations.jsonl").write_bytes(damage)
    cells, failed = collect(study, workdir, title="again")
    assert failed[study.runs()[0].id] == "stopped"
    cells, failed = run_study(study, workdir, title="again", quiet=True)
    assert [cell.values for cell in cells] == [cell.values for cell in finished[1]]


def test_a_damaged_record_of_starts_costs_no_result(study, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    (workdir / study.runs()[0].id / STARTED).write_bytes(b'{"starts": ')
    cells, failed = collect(study, workdir, title="again")
    assert [cell.values for cell in cells] == [cell.values for cell in finished[1]] and len(failed) == 1
    assert "(2 runs)" in (workdir / "summary.md").read_text()


def test_a_report_that_cannot_be_written_leaves_the_old_one(study, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    old = (workdir / "summary.md").read_text()
    (workdir / "verdicts.json").unlink()
    (workdir / "verdicts.json").mkdir()
    with pytest.raises(InputError, match=r"verdicts\.json cannot be written"):
        collect(study, workdir, title="Another title")
    assert (workdir / "summary.md").read_text() == old and not list(workdir.glob(".*tmp*"))


def test_a_run_that_was_made_longer_by_hand_counts_as_it_was(study, finished, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "study")
    good, _, other = (workdir / run.id for run in study.runs())
    for folder, looks in ((good, ("20 steps", "40 steps")), (other, ("40 steps",))):  # the other before its end
        log, (test,) = folder / "metrics.jsonl", [json.loads((folder / "evaluations.jsonl").read_text())]
        last = [json.loads(line) for line in log.read_text().splitlines()][-1]
        event = {"event": "extended", "step": 20, "old": "20 steps", "new": "40 steps"}
        more = [event, {**last, "split": "train", "step": 40, "seconds": 1e6, "top1": 1.0, "loss": 0.0}]
        log.write_text(log.read_text() + "".join(json.dumps(row) + "\n" for row in more))
        rows = [{**test, "duration": look, "top1": test["top1"] if look == "20 steps" else 1.0} for look in looks]
        (folder / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    cells, failed = collect(study, workdir, title="again")
    assert cells[0].values == finished[1][0].values and not cells[2].seeds
    assert "was made longer, from 20 steps to 40 steps, before it ended" in failed[other.name]
