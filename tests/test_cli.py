"""The command line as a person meets it: what each verb prints, and what a mistake is answered with."""

import contextlib
import importlib.util
import io
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import threading

import jax
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn import cli, progress
from jaxcnn.progress import ProgressBar

VERBS = (
    *("train", "evaluate", "predict", "summary", "frontier", "prepare", "report", "sweep"),
    *("convert", "audit", "benchmark", "compare", "features", "neighbours", "probe", "verify", "identify", "generate"),
    *("export", "log", "reproduce"),
)
EVALUATION = {"architecture", "step", "split", "n", "loss", "top1", "top5", "per_class", "class_scores", "calibration"}

USER = """
import flax.linen as nn
import jax.numpy as jnp
from jaxcnn.operators import softmax_cross_entropy

class Net(nn.Module):
    num_classes: int = 10
    width: int = 5

    @nn.compact
    def __call__(self, x, *, train: bool):
        hidden = nn.relu(nn.Dense(self.width)(x.reshape(x.shape[0], -1)))
        return nn.Dense(self.num_classes)(hidden), {"hidden": hidden}

def loss(logits, targets):
    return 2 * softmax_cross_entropy(logits, targets)

def silent(x):
    return None
"""

STUDY = '''"""Does the rate matter?"""
import runpy
from jaxcnn.sweeps import Claim, Study

def study():
    base = runpy.run_path({config!r})["get_config"]()
    claims = {claims}
    return Study(base, {{"optimizer.learning_rate": {levels}}}, seeds=(0,), claims=claims)
'''

CLAIMS = '(Claim("The rate matters.", {"optimizer.learning_rate": 0.1}, {"optimizer.learning_rate": 1e30}),)'


@pytest.fixture
def call(capsys):
    """call("train", ...) -> (exit code, stdout, stderr)."""

    def run(*arguments):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(call):
    """refused("train", ...) is the one paragraph on stderr of a call that ends with exit code 2."""

    def run(*arguments):
        code, out, err = call(*arguments)
        assert code == 2
        assert out == "" and "Traceback" not in err
        assert err.startswith("jaxcnn: ") and err.count("\n") == 1 and len(err) > 20
        return err

    return run


@pytest.fixture
def config(tiny_config_file):
    return f"--config={tiny_config_file('10 steps')}"


@pytest.fixture
def run_of(tiny_run, tmp_path):
    """A copy of a finished run, to write into."""
    return shutil.copytree(tiny_run, tmp_path / "finished")


@pytest.fixture
def folder(tmp_path):
    """make({"cat": 10, ...}) writes class folders of JPEGs of 12x12."""

    def make(layout):
        generator = np.random.default_rng(0)
        for name, count in layout.items():
            (tmp_path / "photos" / name).mkdir(parents=True)
            for i in range(count):
                image = Image.fromarray(generator.integers(0, 256, (12, 12, 3), np.uint8))
                image.save(tmp_path / "photos" / name / f"{i:02d}.jpg")
        return tmp_path / "photos"

    return make


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_help(capsys):
    for arguments in (["--help"], *([verb, "--help"] for verb in VERBS)):
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        assert stopped.value.code == 0
        out = capsys.readouterr().out
        assert out.startswith("usage: jaxcnn")
        if arguments == ["--help"]:
            assert all(re.search(rf"^ +{verb}( |$)", out, re.MULTILINE) for verb in VERBS)
        else:
            assert "show this help" in out and len(out.splitlines()) > 4


def test_no_verb_and_an_unknown_verb(capsys):
    for arguments in ([], ["trian"]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(arguments)
        assert stopped.value.code == 2
        assert "usage: jaxcnn" in capsys.readouterr().err


def test_as_a_program(tmp_path):
    """python -m jaxcnn, from any folder: the exit code is that of main, help needs no device."""
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(cli.__file__).parents[2])}

    def program(*arguments):
        command = [sys.executable, "-m", "jaxcnn", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    helped = program("train", "--help")
    assert helped.returncode == 0 and "--config.optimizer.learning_rate=0.1" in helped.stdout
    wrong = program("evaluate", "--workdir=nowhere")
    assert wrong.returncode == 2 and wrong.stdout == ""
    assert wrong.stderr.startswith("jaxcnn: nowhere is not a run directory") and "Traceback" not in wrong.stderr
    told = subprocess.run(
        [sys.executable, "-m", "jaxcnn", "evaluate", "--workdir=nowhere"],
        cwd=tmp_path,
        env={**environment, "JAXCNN_TRACEBACK": "1"},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 2 and "Traceback" in told.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--config=configs/digits_lenet5.py"],
        ["evaluate"],
        ["predict", "x.png"],
        ["report"],
        ["visualize", "curves", "--output=x.png"],
        ["visualize", "cam", "--index=1", "--output=x.png"],
        ["features", "--stage=conv1", "--output=x.npz"],
        ["convert", "--from=timm", "w.npz", "--architecture=lenet5_common"],
        ["sweep", "experiments/digits.py"],
    ],
)
def test_a_run_lies_in_a_local_folder(arguments, capsys, tmp_path):
    with contextlib.chdir(tmp_path):
        assert cli.main([*arguments, "--workdir=gs://bucket/run"]) == 2
    assert "gs://bucket/run is no folder of this machine" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_home_directory_is_found_by_its_sign(tiny_run, tiny_config, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(tiny_run, tmp_path / "mine")
    with contextlib.chdir(tmp_path):
        assert cli.main(["evaluate", "--workdir=~/mine", "--json"]) == 0
        config = tiny_config({"duration": "1 step", "finetune.source": "~/mine"})
        trained = jaxcnn.train(config, "~/new", quiet=True, devices=jax.devices()[:1])
        assert jaxcnn.Trained("~/new").step == 1 and trained.workdir == tmp_path / "new"
    assert not (tmp_path / "~").exists()
    command = json.loads((tmp_path / "new" / "environment.json").read_text())["starts"][0]["command"]
    assert shlex.split(command) == sys.argv


def test_train_evaluate_report(call, config, tmp_path):
    workdir = tmp_path / "run"
    code, out, err = call("train", config, "--config.optimizer.learning_rate=0.2", f"--workdir={workdir}")
    assert code == 0
    assert out.strip() == str(workdir / "report.html") and (workdir / "report.html").is_file()
    assert "690 parameters" in err and "step 10/10" in err and "test, best checkpoint" in err
    assert json.loads((workdir / "config.json").read_text())["optimizer"]["learning_rate"] == 0.2
    assert {path.name for path in workdir.iterdir()} >= {
        "environment.json",
        "metrics.jsonl",
        "tensorboard",
        "curves.png",
    }
    assert [row["split"] for row in lines(workdir / "evaluations.jsonl")] == ["test"]  # touched once
    started = json.loads((workdir / "environment.json").read_text())["starts"][-1]
    assert {"git_commit", "versions", "devices", "seed", "command"} <= set(started) and len(started["devices"]) == 8

    code, out, _ = call("evaluate", f"--workdir={workdir}", "--split=test", "--json")
    row = json.loads(out)  # exactly one object: more would not parse
    assert code == 0 and set(row) == EVALUATION and out.count("\n") == 1
    assert (row["architecture"], row["step"], row["split"], row["n"]) == ("convnet", 10, "test", 360)
    assert 0 <= row["top1"] <= row["top5"] <= 1 and set(row["per_class"]) == set("0123456789")
    first, second = lines(workdir / "evaluations.jsonl")
    assert second["top1"] == first["top1"] == row["top1"] and np.sum(second["confusion"]) == 360

    code, out, _ = call("evaluate", f"--workdir={workdir}")
    assert code == 0 and "validation: n 144, loss" in out and "top-5" in out
    assert len(lines(workdir / "evaluations.jsonl")) == 3

    (workdir / "report.html").unlink()
    code, out, _ = call("report", f"--workdir={workdir}")
    assert code == 0 and out.strip() == str(workdir / "report.html")
    assert "Test accuracy" in (workdir / "report.html").read_text()

    before = (workdir / "metrics.jsonl").read_text()
    assert call("train", config, "--config.optimizer.learning_rate=0.2", f"--workdir={workdir}")[0] == 0
    rows = [row for row in lines(workdir / "metrics.jsonl") if row.get("event") != "resumed"]
    assert rows == [json.loads(line) for line in before.splitlines()]  # nothing was left to do
    assert len(lines(workdir / "evaluations.jsonl")) == 3


def test_evaluate_by_protocols_and_together(call, refused, run_of, tmp_path):
    other, path = shutil.copytree(run_of, tmp_path / "other"), tmp_path / "table.csv"
    runs, before = ("--workdir", run_of, other), len(lines(run_of / "evaluations.jsonl"))
    code, out, err = call(
        "evaluate", *runs, "--crops", 10, "--scales", 10, "--checkpoint=10", "--output", path, "--json"
    )
    table = json.loads(out)
    assert code == 0 and set(table) == {"split", "steps", "rows", "subsets", "views", "compilations"}
    assert table["steps"] == {str(run_of): 10, str(other): 10} and table["split"] == "validation"
    assert [row["members"] for row in table["rows"]] == [str(run_of), str(other), "1 of 2", "all 2"]
    assert {(row["protocol"], row["n"]) for row in table["rows"]} == {("10 crops, scale 10", 144)}
    assert len({row["top1_error"] for row in table["rows"]}) == 1  # twice the same network
    assert "144/144 images" in err.splitlines() and len(path.read_text().splitlines()) == 1 + 4
    assert len(lines(run_of / "evaluations.jsonl")) == before

    code, out, _ = call("evaluate", *runs, "--split=test")
    assert code == 0 and "1 crop" in out and "360" in out
    deviations = [line for line in out.splitlines() if "1 of 2" in line]
    assert len(deviations) == 1 and deviations[0].count("± 0.00") == 2
    assert call("evaluate", f"--workdir={run_of}", "--crops=1", "--json")[0] == 0
    assert "protocols" in lines(run_of / "evaluations.jsonl")[-1]
    assert call("report", f"--workdir={run_of}")[0] == 0  # which passes over it

    kept = path.read_text()
    assert "cannot be evaluated densely" in refused("evaluate", *runs, "--dense", "--output", path)
    assert path.read_text() == kept
    assert "nowhere" in refused("evaluate", *runs, "--output", tmp_path / "nowhere" / "table.csv")


def test_quiet_says_only_where_the_report_is(call, config, tmp_path):
    workdir = tmp_path / "run"
    code, out, err = call("train", config, "--quiet", "--config.duration=1 step", f"--workdir={workdir}")
    assert (code, out, err) == (0, f"{workdir / 'report.html'}\n", "")


def test_predict(call, run_of, tmp_path):
    for name in ("a", "b"):
        Image.fromarray(np.full((8, 8), 99, np.uint8)).save(tmp_path / f"{name}.png")
    code, out, _ = call("predict", f"--workdir={run_of}", tmp_path / "b.png", tmp_path / "a.png", "--json")
    found = json.loads(out)
    assert code == 0 and set(found) == {"predictions"} and out.count("\n") == 1
    assert [row["file"] for row in found["predictions"]] == [str(tmp_path / "b.png"), str(tmp_path / "a.png")]
    for row in found["predictions"]:
        assert set(row) == {"file", "label", "probabilities"} and set(row["probabilities"]) == set("0123456789")
        assert sum(row["probabilities"].values()) == pytest.approx(1, rel=1e-5)
        assert row["probabilities"][row["label"]] == max(row["probabilities"].values())
    code, out, _ = call("predict", f"--workdir={run_of}", tmp_path / "b.png")
    path = "".join(re.findall(r"^│ (\S+)", out, re.MULTILINE))  # folded over the lines of a narrow table
    assert code == 0 and path == str(tmp_path / "b.png") and found["predictions"][0]["label"] in out


def test_predict_names_a_bad_file(refused, run_of, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG nothing")
    assert "bad.png" in refused("predict", f"--workdir={run_of}", tmp_path / "bad.png")
    assert "gone.png" in refused("predict", f"--workdir={run_of}", tmp_path / "gone.png")


def test_predict_keeps_the_rest_beside_a_bad_file(call, refused, run_of, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "c"):
        Image.fromarray(np.full((8, 8), 99, np.uint8)).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:50])
    code, out, _ = call("predict", f"--workdir={run_of}", folder, "--json")
    rows = json.loads(out)["predictions"]
    assert code == 1 and [set(row) & {"label", "error"} for row in rows] == [{"label"}, {"error"}, {"label"}]
    assert rows[1]["file"] == str(folder / "b.png") and "truncated" in rows[1]["error"]
    code, out, _ = call("predict", f"--workdir={run_of}", folder)
    assert code == 1 and "not read:" in out and rows[0]["label"] in out
    (folder / "a.png").unlink(), (folder / "c.png").unlink()
    assert "no image could be read" in refused("predict", f"--workdir={run_of}", folder)


def test_names_are_no_markup(call, run_of, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    names = ["[/]", "IMG [edited]", ":tv:", "[red]x", os.fsdecode(b"caf\xe9")]
    folder = tmp_path / "in"
    (folder / "[").mkdir(parents=True)
    for name in names:
        Image.fromarray(np.full((8, 8), 99, np.uint8)).save(folder / f"{name}.png")
    code, out, _ = call("predict", f"--workdir={run_of}", folder)
    assert code == 0
    for name in (*names[:-1], r"caf\udce9"):
        assert re.search(rf"│ {re.escape(str(folder / name))}\.png +│", out)
    data = json.loads((run_of / "data.json").read_text())
    (run_of / "data.json").write_text(json.dumps({**data, "classes": [f"[old] {c}:cat:" for c in data["classes"]]}))
    code, out, _ = call("predict", f"--workdir={run_of}", folder)
    assert len(re.findall(r"\[old\] \d:cat:", out)) == len(names)


def test_a_line_of_progress_is_no_markup(capsys):
    ProgressBar(1, start=0, title="", quiet=False).line("folder:tv: [old] cats")
    assert capsys.readouterr().err == "folder:tv: [old] cats\n"


@pytest.mark.parametrize(("terminal", "quiet"), [(True, False), (True, True), (False, False)])
def test_a_long_wait_is_named_on_a_terminal_alone(terminal, quiet, monkeypatch):
    class Stream(io.StringIO):
        told = threading.Event()

        def isatty(self):
            return terminal

        def flush(self):
            self.told.set()

    threads, stream = threading.active_count(), Stream()
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.hushed(quiet), progress.waiting("compiling"):
        if terminal and not quiet:
            assert stream.told.wait(60)
        else:
            assert threading.active_count() == threads
    assert stream.getvalue() == ("compiling ...\n" if terminal and not quiet else "")


def test_a_class_whose_name_is_no_utf8(call, refused, config, folder, tmp_path):
    photos = folder({"cat": 12, os.fsdecode(b"caf\xe9"): 12, "$x$ [old]": 12})
    arguments = [config, f"--config.data.name=folder:{photos}", "--config.duration=2 steps"]
    code, _, err = call("train", *arguments, f"--workdir={tmp_path / 'run'}")
    assert code == 0 and r"folder:" in err
    assert r"caf\udce9" in (tmp_path / "run" / "report.html").read_text()
    code, out, _ = call("evaluate", f"--workdir={tmp_path / 'run'}")
    assert code == 0 and r"caf\udce9" in out and "$x$ [old]" in out
    assert "not UTF-8" in refused("train", *arguments, f"--workdir={tmp_path / os.fsdecode(bytes([98, 233]))}")


def test_summary(call):
    code, out, _ = call("summary", "lenet5_common", "--json")
    found = json.loads(out)
    assert code == 0
    assert set(found) >= {"architecture", "input", "parameters", "parameter_bytes", "stages", "macs", "activations"}
    assert set(found) >= {"receptive_field", "layers", "notes"} and found["macs"] == 416_520
    assert (found["architecture"], found["input"], found["parameters"]) == ("lenet5_common", [1, 32, 32, 1], 61_706)
    assert set(found["stages"][0]) == {"stage", "shape", "bytes"}
    _, out, _ = call(
        "summary", "resnet20", "--input=16,16,1", "--option=num_classes=7", "--option", "shortcut=B", "--json"
    )
    found = json.loads(out)
    assert found["stages"][-1] == {"stage": "logits", "shape": [1, 7], "bytes": 28}
    # Seven classes instead of ten, one channel instead of three, and two projections with their norms.
    expected = 269_722 - 3 * 65 - 2 * 9 * 16 + (16 * 32 + 64) + (32 * 64 + 128)
    assert found["parameters"] == expected
    code, out, _ = call("summary", "lenet5_common", "--batch=2")
    assert code == 0 and "2x28x28x6" in out and "61,706 parameters" in out and "416,520 MACs" in out
    assert re.search(r"^C3 .* 2x10x10x16 .* 2,416 +240,000 +14 +2 +0,0$", out, re.MULTILINE)
    _, out, _ = call("summary", "lenet5_common", "--flops", "--option=padding=2", "--input=28")
    assert "833,040 FLOPs (2 x MAC)" in out and "input 1x28x28x1" in out
    _, out, _ = call("summary", "lenet5_common", "lenet5")
    assert re.search(r"^MACs +416,520 +325,680$", out, re.MULTILINE)
    _, out, _ = call("summary", "lenet5_common", "lenet5", "--json", "--flops")
    assert [found["flops"] for found in json.loads(out)["architectures"]] == [833_040, 651_360]


def test_summary_of_mistakes(refused):
    assert "'resnet20'" in refused("summary", "resnt20")
    assert "H,W,C" in refused("summary", "resnet20", "--input=28,14")
    assert "H,W,C" in refused("summary", "resnet20", "--input=0,32,3")
    assert "--batch" in refused("summary", "resnet20", "--batch=0")
    assert "A, B" in refused("summary", "resnet20", "--option=shortcut=D")
    assert "'shortcut'" in refused("summary", "resnet20", "--option=shortcu=B")
    assert "KEY=VALUE" in refused("summary", "resnet20", "--option=B")
    assert "--optoin" in refused("summary", "resnet20", "--optoin=shortcut=B")


def test_dry_run_trains_nothing(call, config, tmp_path):
    code, out, _ = call("train", config, "--dry-run", f"--workdir={tmp_path / 'run'}")
    assert code == 0 and not (tmp_path / "run").exists()
    for words in (
        "test: test, 360 images of 8x8x1",
        "10 steps of 32 on 8 devices",
        "690 parameters",
        "temporary memory",
    ):
        assert words in out
    assert re.search(r"conv1_1 +32x8x8x4 ", out)


@pytest.mark.parametrize("other", ["--check", "--find_rate=rates.png", "--find-rate=rates.png"])
def test_of_the_looks_at_a_config_one_is_taken(call, config, other, capsys):
    with pytest.raises(SystemExit):
        call("train", config, "--dry_run", other)
    assert "not allowed with argument --dry-run" in capsys.readouterr().err


def test_log_prints_rows(call, refused, tiny_run):
    rows = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "split" in row]
    assert [(row["split"], row["step"]) for row in rows] == [
        (split, step) for step in (10, 20) for split in ("train", "validation")
    ]

    def logged(*options):
        code, out, _ = call("log", f"--workdir={tiny_run}", *options, "--json")
        assert code == 0
        return [json.loads(line) for line in out.splitlines()]

    assert logged() == rows and logged("--tail=1") == rows[-1:]
    assert logged("--every=2") == rows[2:] and logged("--split=train") == rows[::2]
    assert logged("--split=train", "--every=2", "--tail=5") == rows[2:3]
    code, out, _ = call("log", f"--workdir={tiny_run}", "--tail=1")
    assert code == 0 and "validation" in out and f"{rows[-1]['loss']:.4g}" in out and "rate" not in out
    assert "--tail is 0" in refused("log", f"--workdir={tiny_run}", "--tail=0")
    assert "no config.json" in refused("log", f"--workdir={tiny_run / 'checkpoints'}")


def test_a_log_that_is_piped_is_not_folded_and_has_no_empty_columns(call, run_of, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    rows = [row | ({"top5": None} if "split" in row else {}) for row in lines(run_of / "metrics.jsonl")]
    (run_of / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    _, out, _ = call("log", f"--workdir={run_of}")
    assert sum("validation" in line for line in out.splitlines()) == 2 and "images/s" in out and "top5" not in out


def test_find_rate_draws_and_suggests(call, config, refused, tmp_path):
    picture, run = tmp_path / "new" / "rates.png", f"--workdir={tmp_path / 'run'}"
    code, out, err = call("train", config, f"--find-rate={picture}", run)
    assert code == 0 and not (tmp_path / "run").exists()
    assert "config.optimizer.learning_rate: " in out and str(picture) in out and "/100 steps" in err
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "suffix" in refused("train", config, f"--find_rate={tmp_path / 'rates.txt'}")


def test_check_ends_with_one_where_a_check_fails(call, config, user_package):
    quiet = USER.replace("nn.Dense(self.num_classes)", "nn.Dense(self.num_classes, kernel_init=nn.initializers.zeros)")
    user_package("jaxcnn_test_quiet", quiet)
    options = "--config.model.options={'width': 64}"
    code, out, _ = call("train", config, "--config.model.name=jaxcnn_test_quiet:Net", options, "--check")
    assert code == 0 and len(out.splitlines()) == 3 and "FAILED" not in out
    user_package("jaxcnn_test_loud", quiet.replace("initializers.zeros", "initializers.normal(10.0)"))
    code, out, _ = call("train", config, "--config.model.name=jaxcnn_test_loud:Net", options, "--check")
    assert code == 1 and "loss at chance: FAILED" in out


def test_profile_writes_a_trace(call, config, tmp_path):
    code, _, err = call("train", config, "--profile=2", f"--workdir={tmp_path / 'run'}")
    assert code == 0 and "profile of 2 steps" in err
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))


def test_a_seed_below_zero_is_refused_by_every_verb(refused):
    assert "--seed is -1; it is 0 or more." in refused("probe", "--train", "a.npz", "--test", "b.npz", "--seed=-1")
    assert "--seed is -1; it is 0 or more." in refused("visualize", "tsne", "--workdir=w", "--stage=fc", "--seed=-1")


def test_mistakes_in_the_config(refused, config, tmp_path):
    workdir = f"--workdir={tmp_path / 'run'}"
    cases = {
        "--config.optimizer.learning_rat=1": "'optimizer.learning_rate'",
        "--config.optimizer.learning_rate=fast": "fast",
        "--config.model.name=resnt20": "'resnet20'",
        "--config.model.options={'widht': (4,)}": "'widths'",
        "--config.data.name=digts": "digits",
        "--config.data.name=tfds:nothing": "prepare tfds:nothing",
        f"--config.data.name=folder:{tmp_path / 'gone'}": "gone",
        "--config.data.test=tset": "'tset'",
        "--config.loss.name=cross_entropy": "'softmax_cross_entropy'",
        "--config.batch_size=33": "40",  # eight devices
        "--config.duration=0 steps": "less than one step",
        "--config.model.dropout=1.0": "below 1.0",
        "--config.batch_size=abc": "flag --config.batch_size=abc: it is a whole number",
        "--workdri=x": "not an argument of this verb: --workdri=x; did you mean '--workdir'",
        "--config.seed=1.5": "flag --config.seed=1.5: it is a whole number",
        "--extra": "not an argument of this verb: --extra; did you mean '--extend'",
    }
    for flag, words in cases.items():
        assert words in refused("train", config, flag, workdir), flag
    assert not (tmp_path / "run").exists()
    assert "--config" in refused("train", workdir)
    assert "--workdir" in refused("train", config)
    assert "tiny.py" in refused("train", config.replace("tiny", "tyni"), workdir)


def test_a_head_of_another_number_of_classes(refused, folder, config, tmp_path):
    photos = folder({f"class{i:02d}": 3 for i in range(40)})
    flags = [
        f"--config.data.name=folder:{photos}",
        "--config.data.image_size=(32, 32)",
        f"--workdir={tmp_path / 'run'}",
    ]
    ten = "--config.model.options={'num_classes': 10}"
    text = refused("train", config, *flags, "--config.model.name=lenet5_common", ten)
    assert "40 classes" in text and "(2, 10)" in text
    flags += ["--config.data.channels=1", "--config.model.options={}"]
    assert "num_classes must be 10, got 40" in refused("train", config, *flags, "--config.model.name=lenet5")


def test_a_truncated_photograph(call, refused, folder, config, tmp_path, caplog):
    photos = folder({f"{split}/{name}": 20 for split in ("train", "val", "test") for name in ("cat", "dog")})
    path = photos / "train" / "cat" / "07.jpg"
    path.write_bytes(path.read_bytes()[:300])
    data = f"--config.data.name=folder:{photos}", "--config.batch_size=8", "--config.duration=1 epoch"
    text = refused("train", config, *data, f"--workdir={tmp_path / 'run'}")
    assert "07.jpg" in text and "on_error='skip'" in text
    workdir = tmp_path / "skipping"
    code, _, err = call("train", config, *data, "--config.data.on_error=skip", f"--workdir={workdir}")
    assert code == 0
    assert "train: 1 records could not be read" in err
    assert any("07.jpg" in message for message in caplog.messages)
    rows = [row for row in lines(workdir / "metrics.jsonl") if row.get("split") == "train"]
    assert sum(row.get("unreadable", 0) for row in rows) == 1
    _, out, _ = call("evaluate", f"--workdir={workdir}", "--split=train", "--json")
    assert json.loads(out)["n"] == 39 and json.loads(out)["top5"] is None


def test_an_empty_class_folder(refused, folder, config, tmp_path):
    photos = folder({"cat": 10, "dog": 0})
    text = refused("train", config, f"--config.data.name=folder:{photos}", f"--workdir={tmp_path / 'run'}")
    assert str(photos / "dog") in text and "no images" in text


def test_a_workdir_that_cannot_be_written_or_is_another_runs(refused, config, tmp_path, run_of):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused("train", config, f"--workdir={tmp_path / 'file' / 'run'}")
    text = refused("train", config, f"--workdir={run_of}")
    assert "holds a run of another config" in text and "duration: '20 steps' there, '10 steps' here" in text


def test_verbs_that_need_a_run(refused, tmp_path):
    for verb in ("evaluate", "report"):
        assert "not a run directory" in refused(verb, f"--workdir={tmp_path}")
    assert "not a run directory" in refused("predict", f"--workdir={tmp_path}", "x.png")


def test_no_such_checkpoint(refused, run_of):
    text = refused("evaluate", f"--workdir={run_of}", "--checkpoint=11")
    assert "11" in text and "10" in text and "20" in text


def test_prepare(refused, monkeypatch):
    assert "tfds:NAME" in refused("prepare", "cifar10")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install tensorflow" in refused("prepare", "tfds:cifar10")


def test_a_users_own_network_and_loss(call, refused, config, tmp_path, user_package):
    user_package("jaxcnn_test_own", USER)
    own = ["--config.model.name=jaxcnn_test_own:Net", "--config.loss.name=jaxcnn_test_own:loss"]
    workdir = tmp_path / "run"
    code, _, err = call("train", config, *own, "--config.model.options={'width': 3}", f"--workdir={workdir}")
    assert code == 0 and f"jaxcnn_test_own:Net: {64 * 3 + 3 + 3 * 10 + 10} parameters" in err
    (row,) = lines(workdir / "evaluations.jsonl")
    confusion = np.array(row["confusion"])
    given = pathlib.Path(config.removeprefix("--config="))
    assert (workdir / "code" / "jaxcnn_test_own.py").read_text() == USER
    assert (workdir / "code" / "given" / given.name).read_text() == given.read_text()
    assert row["architecture"] == "jaxcnn_test_own:Net" and row["top1"] == pytest.approx(np.trace(confusion) / 360)
    code, out, _ = call("evaluate", f"--workdir={workdir}", "--split=test", "--json")
    assert code == 0 and json.loads(out)["loss"] == pytest.approx(row["loss"])
    options = "--config.model.options={}"
    elsewhere = f"--workdir={tmp_path / 'other'}"
    assert "'Net'" in refused("train", config, "--config.model.name=jaxcnn_test_own:Nett", options, elsewhere)
    assert "jaxcnn_test_gone" in refused(
        "train", config, "--config.model.name=jaxcnn_test_gone:Net", options, elsewhere
    )
    assert "'width'" in refused("train", config, own[0], "--config.model.options={'widht': 3}", elsewhere)


def test_sweep(call, config, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    path = tmp_path / "rates.py"
    path.write_text(STUDY.format(config=config.removeprefix("--config="), levels="(0.1, 1e30)", claims=CLAIMS))
    workdir = tmp_path / "study"
    code, out, err = call("sweep", path, f"--workdir={workdir}")
    assert code == 1
    assert f"{workdir}/report.html" in out and "learning_rate=0.1" in out
    assert "The rate matters.\n  not decided: no seed has test accuracy of both learning_rate=0.1 and" in out
    assert re.search(r"^jaxcnn: learning_rate=1e_30-seed=0-\w+ failed: training diverged", err, re.MULTILINE)
    assert "Does the rate matter?" in (workdir / "report.html").read_text()
    path.write_text(STUDY.format(config=config.removeprefix("--config="), levels="(0.1,)", claims="()"))
    code, out, err = call("sweep", path, f"--workdir={workdir}")
    assert code == 0 and "failed" not in err


def test_mistakes_in_a_study(refused, config, tmp_path):
    path = tmp_path / "rates.py"
    text = STUDY.format(config=config.removeprefix("--config="), levels="(0.1,)", claims="()")
    path.write_text(text.replace("learning_rate", "learning_rat"))
    assert "'optimizer.learning_rate'" in refused("sweep", path, f"--workdir={tmp_path / 'study'}")
    path.write_text(text)
    assert "one scale" in refused("sweep", path, f"--workdir={tmp_path / 'study'}", "--scale=mnist")
    assert not (tmp_path / "study").exists()
    assert "'rates.py'" in refused("sweep", tmp_path / "rate.py", f"--workdir={tmp_path / 'study'}")
    path.write_text("def study():\n    return 1 / 0\n")
    assert f"{path}, line 2: ZeroDivisionError" in refused("sweep", path, f"--workdir={tmp_path / 'study'}")
    path.write_text("def study():\n    return {}\n")
    assert "returns dict" in refused("sweep", path, f"--workdir={tmp_path / 'study'}")
    path.write_text("def search(:\n")
    assert "SyntaxError" in refused("sweep", path, f"--workdir={tmp_path / 'study'}")
    path.write_text("def search():\n    return {}\n")
    assert "returns dict" in refused("sweep", path, f"--workdir={tmp_path / 'study'}")


def test_options_that_would_do_nothing_are_refused(refused, config, tmp_path):
    path = tmp_path / "rates.py"
    path.write_text(STUDY.format(config=config.removeprefix("--config="), levels="(0.1,)", claims="()"))
    start = ("sweep", path, f"--workdir={tmp_path / 'study'}")
    assert "--dry-run is for --runner slurm" in refused(*start, "--dry-run")
    assert "--partition is for --runner slurm" in refused(*start, "--partition=gpu", "--runner=population")
    assert "--jobs is for" in refused(*start, "--jobs=2", "--runner=slurm")
    assert "--storage is for searches" in refused(*start, "--storage=journal:log")
    assert "--jobs is -1" in refused(*start, "--jobs=-1")
    assert "no run ''" in refused(*start, "--run=")
    assert "--run trains one run here" in refused(*start, "--run=ID", "--runner=slurm")
    assert "--dry-run is not for --run" in refused(*start, "--run=ID", "--runner=slurm", "--dry-run")
    assert "nothing to collect" in refused(*start, "--collect")
    path.write_text("def search():\n    return None\n")
    assert "--jobs is for studies" in refused(*start, "--jobs=2")
    assert "search() of" in refused(*start, "--runner=slurm")
    assert "--workers is for --runner slurm" in refused(*start, "--workers=2")
    assert "--runner population is for studies" in refused(*start, "--runner=population")
    assert not (tmp_path / "study").exists()
    out = ("convert", "--to=torchvision", tmp_path / "w.safetensors", f"--workdir={tmp_path}")
    assert "--classes is for --from" in refused(*out, "--classes=names.txt")
    assert "--mean is for --from" in refused(*out, "--mean=0.5,0.5,0.5")
    assert "--seed is for --draw" in refused("verify", "--data=a.npz", "--pairs=pairs.txt", "--seed=1")
    assert "--seed is for --unknown" in refused("identify", "--gallery=a.npz", "--probe=b.npz", "--seed=1")
    assert "--needed is for input" in refused("benchmark", "steps", "--needed=100")
