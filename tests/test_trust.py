"""Nothing that came as data runs code: what a stranger's run or file of features may name, and who allows it."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn import InputError, cli, trust
from jaxcnn.training.preflight.checks import teacher_checks

# A module that leaves a mark when it is imported and another when what is in it is called.
MARKING = """
import pathlib
import flax.linen as nn
from subprocess import Popen, run
HERE = pathlib.Path(__file__).parent
(HERE / "IMPORTED").touch()

class Net(nn.Module):
    num_classes: int = 10

    @nn.compact
    def __call__(self, x, *, train: bool):
        (HERE / "CALLED").touch()
        return nn.Dense(self.num_classes)(x.reshape(x.shape[0], -1)), {}

def load(split, **options):
    (HERE / "CALLED").touch()

def loss(logits, targets):
    (HERE / "CALLED").touch()
    return (logits - targets).sum(axis=1)

def build(**options):
    return Net()

class Plain:
    pass

number = 3
"""

COMMANDS = {
    "evaluate": ("evaluate", "--workdir={run}"),
    "evaluate crops": ("evaluate", "--workdir={run}", "--crops", "1", "10"),
    "predict": ("predict", "--workdir={run}", "{image}"),
    "features": ("features", "--workdir={run}", "--stage=pool1", "--output={folder}/f.npz"),
    "visualize": ("visualize", "filters", "--workdir={run}", "--output={folder}/f.png"),
    "convert": ("convert", "{folder}/w.safetensors", "--to=torchvision", "--workdir={run}"),
    "frontier": ("frontier", "--workdir={run}", "--output={folder}/f.png"),
    "train": ("train", "--config={config}", "--config.finetune.source={run}", "--workdir={folder}/tuned"),
    "inherit": ("train", "--config={config}", "--config.model.name=", "--config.finetune.source={run}", "--dry_run"),
    "neighbours image": ("neighbours", "--gallery={gallery}", "--query={image}", "--output={folder}/f.png"),
}


@pytest.fixture
def stranger(tiny_run, tiny_config_file, tmp_path, monkeypatch, user_package):
    """make("model.name", "a:b", **options): a run whose config.json says so, and the places that COMMANDS name."""
    user_package("jaxcnn_test_theirs", MARKING)

    def make(key, name, options=None):
        run = shutil.copytree(tiny_run, tmp_path / "run")
        config = json.loads((run / "config.json").read_text())
        part, _, leaf = key.partition(".")
        config[part][leaf] = name
        if options is not None:
            config[part]["options"] = options
        (run / "config.json").write_text(json.dumps(config))
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "x.png")
        config_file = tiny_config_file("2 steps")
        places = {"run": run, "folder": tmp_path, "image": tmp_path / "x.png", "config": config_file}
        return {**places, "gallery": _gallery(tmp_path / "gallery.npz", run)}

    return make


def _gallery(path, run, *, data="digits"):
    """A small file of features that says it was written with this run and from this data set."""
    rows = np.arange(8, dtype=np.int32)
    found_by = {"name": data, "split": "test", "image_size": [8, 8], "data_dir": "", "channels": 1, "fit": "crop"}
    found_by.update({"resize": 0, "interpolation": "bilinear", "on_error": "raise"})
    meta = {"run": str(run), "architecture": "convnet", "checkpoint": 20, "weights": "0", "stage": "pool1"}
    meta.update({"pool": "none", "data": found_by, "images": 360})
    columns = {"features": np.eye(8, dtype=np.float32), "label": rows, "index": rows, "position": rows}
    np.savez(path, **columns, classes=np.array(list("0123456789")), meta=np.array(json.dumps(meta)))
    return path


def _refused(capsys, words, places):
    capsys.readouterr()
    code = cli.main([word.format(**places) for word in words])
    error = capsys.readouterr().err
    assert code == 2 and "Traceback" not in error, error
    return error


def _marks(folder):
    return [path.name for path in pathlib.Path(folder).rglob("*") if path.name in ("IMPORTED", "CALLED", "PWNED")]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_directory_executes_nothing(command, stranger, capsys, tmp_path):
    marker = {"args": ["/bin/sh", "-c", f"touch {tmp_path}/PWNED"]}
    places = stranger("model.name", "subprocess:Popen", marker)
    error = _refused(capsys, COMMANDS[command], places)
    assert "model.name is 'subprocess:Popen'" in error and str(places["run"] / "config.json") in error
    assert "subprocess is of Python's standard library" in error and not _marks(tmp_path)
    config = places["run"] / "config.json"
    config.write_text(config.read_text().replace("subprocess:Popen", "jaxcnn_test_theirs:Net"))
    error = _refused(capsys, COMMANDS[command], places)
    assert "model.name is 'jaxcnn_test_theirs:Net'" in error and str(config) in error
    assert "--trust-code jaxcnn_test_theirs:Net" in error and not _marks(tmp_path)


@pytest.mark.parametrize("key", ["data.name", "loss.name"])
def test_of_a_run_whose_network_is_ours_nothing_else_is_executed(key, stranger, capsys, tmp_path):
    places = stranger(key, f"jaxcnn_test_theirs:{key[:4]}")
    assert f"{key} is 'jaxcnn_test_theirs:{key[:4]}'" in _refused(capsys, COMMANDS["evaluate"], places)
    assert cli.main([word.format(**places) for word in COMMANDS["predict"]]) == 0
    assert not _marks(tmp_path)


def test_the_report_of_a_strangers_run_leaves_out_what_is_theirs(stranger, capsys, tmp_path):
    run = stranger("model.name", "jaxcnn_test_theirs:Net", {})["run"]
    assert cli.main(["report", f"--workdir={run}"]) == 0
    page = (run / "report.html").read_text()
    assert "Parameters and predictions are left out" in page and "--trust-code jaxcnn_test_theirs:Net" in page
    assert "Test accuracy" in page and not _marks(tmp_path)


def test_the_report_without_a_strangers_data_set(stranger, tmp_path):
    run = stranger("data.name", "jaxcnn_test_theirs:load")["run"]
    assert cli.main(["report", f"--workdir={run}"]) == 0
    page = (run / "report.html").read_text()
    assert "Predictions are left out" in page and "690" in page and not _marks(tmp_path)


def test_the_data_set_of_a_file_of_features(user_package, capsys, tmp_path):
    user_package("jaxcnn_test_theirs", MARKING)
    places = {"folder": tmp_path}
    words = ("neighbours", "--gallery={gallery}", "--query=0", "-k=2", "--output={folder}/f.png")
    for name in ("jaxcnn_test_theirs:load", "subprocess:getoutput"):
        places["gallery"] = _gallery(tmp_path / "gallery.npz", tmp_path, data=name)
        error = _refused(capsys, words, places)
        assert f"{places['gallery']}: meta.data.name is '{name}'" in error and not _marks(tmp_path)


def test_a_network_inside_ours(stranger, capsys, tmp_path):
    options = {"network": "jaxcnn_test_theirs:Net", "old_classes": 10}
    places = stranger("model.name", "jaxcnn.transfer.forgetting:TwoHeads", options)
    assert "model.options.network is 'jaxcnn_test_theirs:Net'" in _refused(capsys, COMMANDS["predict"], places)
    assert not _marks(tmp_path)


def test_a_second_task_takes_no_name_from_its_source(stranger, tiny_config, tmp_path):
    from jaxcnn.transfer.forgetting import second_task

    run = stranger("model.name", "jaxcnn_test_theirs:Net", {})["run"]
    with pytest.raises(InputError, match="--trust-code jaxcnn_test_theirs:Net"):
        second_task(tiny_config(), run)
    assert not _marks(tmp_path)


def test_reading_a_run_only_to_show_it_is_no_affair_of_trust(stranger, tmp_path):
    run = stranger("model.name", "jaxcnn_test_theirs:Net", {})["run"]
    assert cli.main(["visualize", "curves", f"--workdir={run}", f"--output={tmp_path}/c.png"]) == 0
    assert not _marks(tmp_path)


NET = """
import flax.linen as nn
import numpy as np
from jaxcnn.data import Arrays, Records
from jaxcnn.operators import softmax_cross_entropy

class Net(nn.Module):
    num_classes: int = 10

    @nn.compact
    def __call__(self, x, *, train: bool):
        return nn.Dense(self.num_classes)(x.reshape(x.shape[0], -1)), {}

class WithoutTrain(nn.Module):
    num_classes: int = 10

    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.num_classes)(x.reshape(x.shape[0], -1)), {}

class Raises(nn.Module):
    num_classes: int = 10

    def __call__(self, x, *, train: bool):
        raise KeyError("a slip of mine")

def keyword(logits, targets, *, needed):
    return softmax_cross_entropy(logits, targets)

def slips(logits, targets):
    return logits.no_such_attribute

def nothing(split, **options):
    return None

class Plain:
    pass

def plain(**options):
    return Plain()

instance = Net()
from subprocess import Popen, getoutput
"""


def test_how_a_run_learned_is_not_executed_to_use_it(stranger, tmp_path):
    """Its optimizer, schedule and augmentation are of its training alone, which only the user's own config starts."""
    places = stranger("optimizer.name", "jaxcnn_test_theirs:rule")
    config = json.loads((places["run"] / "config.json").read_text())
    config["schedule"]["name"] = "jaxcnn_test_theirs:course"
    config["augment"]["operations"] = [["jaxcnn_test_theirs:stripes", 0.5, 0.5]]
    (places["run"] / "config.json").write_text(json.dumps(config))
    assert cli.main([word.format(**places) for word in COMMANDS["evaluate"]]) == 0
    assert not _marks(tmp_path)


@pytest.fixture
def mine(user_package):
    """The name of a module of the user's own."""
    name = f"jaxcnn_test_mine_{os.urandom(4).hex()}"  # what one test allows is allowed for its process
    user_package(name, NET)
    return name


def test_the_user_allows_code_on_the_command_line(mine, tiny_config, tmp_path, capsys):
    """Another process, which has not trained the run: it is as a stranger's there."""
    run = tmp_path / "run"
    jaxcnn.train(
        tiny_config({"model.name": f"{mine}:Net", "model.options": {}, "duration": "2 steps"}), run, quiet=True
    )
    assert jaxcnn.Trained(run).step == 2  # the user has named it in this process
    places = {"run": run, "folder": tmp_path}
    words = [word.format(**places) for word in COMMANDS["evaluate"]]
    path = {"PYTHONPATH": os.pathsep.join([str(pathlib.Path(jaxcnn.__file__).parents[1]), str(tmp_path / "packages")])}
    command = [sys.executable, "-m", "jaxcnn", *words, f"--trust-code={mine}:Net"]
    done = subprocess.run(command, env={**os.environ, **path}, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "top-1" in done.stdout, done.stderr


def test_the_user_allows_code_in_python(mine, stranger):
    run = stranger("model.name", f"{mine}:Net", {})["run"]
    with pytest.raises(trust.Untrusted):
        jaxcnn.Trained(run)
    with pytest.raises(InputError, match="does not fit"):  # it is built, and has other weights
        jaxcnn.Trained(run, trust_code=[f"{mine}:Net"])


@pytest.mark.parametrize("name", ["subprocess:Popen", "os:system", "builtins:exec", "my_nets", "resnet20"])
def test_what_the_command_line_cannot_allow(name, tiny_run, capsys):
    assert name in _refused(capsys, ("report", "--workdir={run}", f"--trust-code={name}"), {"run": tiny_run})


@pytest.mark.parametrize(("changes", "words"), [
    ({"model.name": "instance"}, "is an object of type Net; it is a class of flax.linen.Module, or a function"),
    ({"model.name": "Plain"}, "is the class Plain; it is a class of flax.linen.Module"),
    ({"model.name": "Popen"}, "is the class Popen; it is a class of flax.linen.Module"),
    ({"model.name": "getoutput"}, "subprocess is of Python's standard library"),
    ({"model.name": "plain"}, "builds Plain; it builds a Linen module"),
    ({"loss.name": "Net"}, "is the class Net; it is a function of yours, f(logits, targets)"),
    ({"loss.name": "getoutput"}, "subprocess is of Python's standard library"),
    ({"data.name": "Popen"}, "subprocess is of Python's standard library"),
    ({"data.name": "nothing"}, "returns NoneType; it returns jaxcnn.data.Records"),
    ({"model.name": "WithoutTrain"}, ".py, line 14: architecture"),
    ({"model.name": "Raises"}, ".py, line 25: architecture"),
    ({"loss.name": "keyword"}, ".py, line 27: config.loss.name"),
    ({"loss.name": "slips"}, ".py, line 31: config.loss.name"),
])  # fmt: skip
def test_code_of_the_users_own_is_what_it_should_be(changes, words, mine, tiny_config):
    ((key, attribute),) = changes.items()
    options = {"model.options": {}} if key == "model.name" else {}
    with pytest.raises(InputError) as refused:
        teacher_checks(tiny_config({key: f"{mine}:{attribute}", **options}), line=lambda text: None)
    assert words in str(refused.value), str(refused.value)


def test_the_current_folder_is_no_place_for_code_by_accident(stranger, tmp_path):
    """`python -m` puts it first on the path; there it would stand before torch, rich, inspect and all others."""
    run = stranger("model.name", "here:Net", {})["run"]
    for name in ("here", "rich", "inspect", "traceback", "tensorboardX", "argparse"):
        (tmp_path / f"{name}.py").write_text(MARKING)
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(jaxcnn.__file__).parents[1])}

    def start(*words):
        command = [sys.executable, "-m", "jaxcnn", *words]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    done = start("predict", f"--workdir={run}", "x.png")
    assert done.returncode == 2 and "--trust-code here:Net" in done.stderr and not _marks(tmp_path)
    done = start("predict", f"--workdir={run}", "x.png", "--trust-code=here:Net")
    assert _marks(tmp_path).count("IMPORTED") == 1, done.stderr  # of here.py, which the user has named


@pytest.mark.parametrize("kind", ["tfds", "folder"])
@pytest.mark.parametrize("key", ["model.name", "loss.name"])
def test_a_module_with_the_name_of_a_kind_of_data_set(kind, key, stranger, user_package, capsys, tmp_path):
    user_package(kind, MARKING)
    places = stranger(key, f"{kind}:{'Net' if key == 'model.name' else 'loss'}", {} if key == "model.name" else None)
    assert "is not of the form package.module:attribute" in _refused(capsys, COMMANDS["evaluate"], places)
    assert not _marks(tmp_path)


@pytest.mark.parametrize("file", ["features.json", "dataset_info.json"])
def test_the_features_that_a_prepared_set_names(file, user_package, tmp_path):
    from jaxcnn.data import load
    from jaxcnn.data.prepare_folder import prepare_folder

    user_package("jaxcnn_test_theirs", MARKING)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / "train" / name).mkdir(parents=True)
        pixels = np.full((8, 8, 3), 99 if name == "cat" else 0, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / "train" / name / "x.png")
    prepare_folder(tmp_path / "photos", data_dir=tmp_path / "sets", quiet=True)
    (path,) = (tmp_path / "sets" / "photos").glob(f"*/{file}")
    about = json.loads(before := path.read_text())
    theirs = {"pythonClassName": "jaxcnn_test_theirs.Net", "tensor": {"shape": {}, "dtype": "int64"}}
    if file == "features.json":
        about["featuresDict"]["features"]["more"] = theirs
    path.write_text(json.dumps(about if file == "features.json" else {**about, "features": theirs}))
    with pytest.raises(InputError, match=r"names 'jaxcnn_test_theirs\.Net', which is no class of tensorflow-datasets"):
        load("tfds:photos", "train", data_dir=tmp_path / "sets", image_size=(8, 8))
    assert not _marks(tmp_path)
    path.write_text(before)
    assert len(load("tfds:photos", "train", data_dir=tmp_path / "sets", image_size=(8, 8))[0]["image"]) == 8


def test_a_storage_names_no_folder_elsewhere(tiny_config, tmp_path):
    optuna = pytest.importorskip("optuna")
    from jaxcnn.sweeps.search import Choice, Search, run_search

    (tmp_path / "search").mkdir()
    storage = f"sqlite:///{tmp_path / 'search' / 'search.db'}"
    study = optuna.create_study(storage=storage, study_name="search", direction="maximize")
    study.enqueue_trial({"optimizer.learning_rate": 0.1}, user_attrs={"folder": "../elsewhere"})
    search = Search(tiny_config(), {"optimizer.learning_rate": Choice((0.1, 0.2))}, trials=1)
    with pytest.raises(InputError, match=r"trial 0 lies in '\.\./elsewhere', which is no directory of a trial"):
        run_search(search, tmp_path / "search", report=lambda line: None)
    assert not (tmp_path / "elsewhere").exists()


def test_names_do_not_steer_the_terminal(tiny_run, capsys, tmp_path):
    steering = "\x1b]0;title\x07\x9b31m\u202e"
    run = shutil.copytree(tiny_run, tmp_path / "run")
    about = json.loads((run / "data.json").read_text())
    about["classes"] = [f"{steering}{name}" for name in about["classes"]]
    (run / "data.json").write_text(json.dumps(about))
    image, broken = tmp_path / f"{steering}.png", tmp_path / f"broken{steering}.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(image)
    broken.write_text(steering)
    assert cli.main(["predict", f"--workdir={run}", str(image), str(broken)]) == 1
    assert cli.main(["predict", f"--workdir={run}", str(broken)]) == 2
    assert cli.main(["evaluate", f"--workdir={run}"]) == 2  # the classes are not those of digits
    printed = "".join(capsys.readouterr())
    assert r"\x1b" in printed and not set(steering) - set("]0;title31m") & set(printed)


def test_evaluations_are_not_written_through_a_link(tiny_run, tmp_path, caplog):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "mine").write_text("mine\n")
    (run / "evaluations.jsonl").unlink()
    (run / "evaluations.jsonl").symlink_to(tmp_path / "mine")
    assert cli.main(["evaluate", f"--workdir={run}"]) == 0
    assert (tmp_path / "mine").read_text() == "mine\n" and "not logged" in caplog.text


def test_an_old_pytorch_opens_nothing(monkeypatch, tmp_path):
    from jaxcnn.transfer.files import read_tensors

    def load(*_, **__):
        raise AssertionError("it was opened")

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(__version__="2.9.1+cpu", load=load))
    (tmp_path / "x.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"x\.pth needs PyTorch 2\.10 or newer to be read, here is 2\.9\.1\+cpu"):
        read_tensors(tmp_path / "x.pth")


FINDER = """
import importlib.machinery, sys
class Finder:
    def find_spec(name, path=None, target=None):
        return importlib.machinery.PathFinder.find_spec(name, ["{root}"]) if name == "jaxcnn" else None
sys.meta_path.append(Finder)
"""
STARTED = """
import os, sys
from jaxcnn import trust
trust.leave_out("/elsewhere")
print(os.environ.get("PYTHONSAFEPATH"), "{root}" in sys.path)
"""


@pytest.mark.parametrize("how", ["editable", "checkout"])
def test_where_our_own_processes_look_for_code(how, tmp_path):
    """Data workers are started by `python -c`, which looks into the current folder first if nobody forbids it."""
    root = pathlib.Path(jaxcnn.__file__).parents[1]
    code = FINDER if how == "editable" else "import sys; sys.path.insert(0, '{root}'); import jaxcnn; del sys.path[0]"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-P", "-S", "-c", (code + STARTED).replace("{root}", str(root))]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == (["1", "False"] if how == "editable" else ["None", "True"]), done.stderr


def test_a_file_of_features_that_says_it_is_huge(capsys, tmp_path):
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**9)}
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive, archive.open("features.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
    words = ("neighbours", "--gallery={folder}/huge.npz", "--query=0", "--output={folder}/f.png")
    assert "huge.npz says of an array in it that it is larger than memory" in _refused(
        capsys, words, {"folder": tmp_path}
    )


def test_pictures_start_no_other_program(tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\n")
    code = "from jaxcnn.visualize import figure; f = figure.new_figure(1, 1); f.text(0, 0, 'x'); figure.png_bytes(f)"
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(jaxcnn.__file__).parents[1]), "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
