"""An exported network in a process without jaxcnn, by the program that docs/export.md shows."""

import json
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax import export
from PIL import Image

from jaxcnn import InputError, Trained, cli, train
from jaxcnn.data import load

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "export.md"
KEPT = """
import jax
several = program.call(np.load("images.npy"))
assert not [name for name in sys.modules if name.partition(".")[0] in ("jaxcnn", "flax")]
np.savez("found.npz", files=found["probabilities"], several=several["probabilities"])
"""


@pytest.fixture(scope="module")
def network(tiny_run):
    return Trained(tiny_run)


def shown_program():
    (script,) = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    return script


def test_it_predicts_the_same_in_a_process_without_jaxcnn(tiny_run, network, tmp_path, capsys):
    images = load("digits", "test", image_size=(8, 8)).read(range(9))["image"]
    np.save(tmp_path / "images.npy", images)
    random, files = np.random.default_rng(0), ("wide.png", "tall.png", "small.png")
    for name, shape in zip(files, ((20, 31), (13, 9), (8, 8)), strict=True):
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(tmp_path / name)
    file = tmp_path / "digits.stablehlo"
    assert cli.main(["export", "--workdir", str(tiny_run), "--to", "stablehlo", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(file), f"{file}.json"]
    command = [sys.executable, "-c", shown_program() + KEPT, *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz") as kept:
        found = dict(kept)
    assert found["several"].shape == (9, 10) and found["several"].dtype == np.float32
    np.testing.assert_allclose(found["several"], network.probabilities(images), rtol=1e-4, atol=1e-6)
    for row, told, line in zip(
        network.predict([tmp_path / name for name in files]), found["files"], done.stdout.splitlines(), strict=True
    ):
        np.testing.assert_allclose(told, list(row["probabilities"].values()), rtol=1e-4, atol=1e-6)
        assert line == f"{pathlib.Path(row['file']).name} {row['label']} {max(told):.4f}"


def test_what_lies_beside_it(network, tmp_path):
    file, about = network.export(tmp_path / "net", platforms=("cuda", "tpu"))
    program = export.deserialize(file.read_bytes())
    told = json.loads(about.read_text())
    assert program.platforms == ("cuda", "tpu") and told["platforms"] == ["cuda", "tpu"]
    assert [str(aval) for aval in program.in_avals] == ["uint8[n,8,8,1]"]
    geometry = {"channels": "grey", "fit": "crop", "resize": 0, "interpolation": "bilinear"}
    assert told["input"] == {"shape": ["n", 8, 8, 1], "dtype": "uint8", **geometry}
    row = {"shape": ["n", 10], "dtype": "float32"}
    assert told["outputs"] == {"logits": row, "probabilities": row}
    assert told["classes"] == list(network.classes)
    assert (told["task"], told["architecture"], told["step"]) == ("classification", "convnet", network.step)
    with pytest.raises(ValueError, match="was exported for platforms"):
        program.call(np.zeros((1, 8, 8, 1), np.uint8))


def test_a_network_that_restores_images(tiny_config, tmp_path):
    config = tiny_config({"task.name": "reconstruction", "model.name": "dncnn", "duration": "2 steps"})
    with config.unlocked():
        config.model.options = {"depth": 3, "width": 4}
        config.task.options = {"corrupt": "noise"}
    train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    network = Trained(tmp_path / "run")
    file, about = network.export(tmp_path / "restorer.stablehlo")
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    found, expected = export.deserialize(file.read_bytes()).call(images), network.map(network.infer, images)
    assert found.keys() == expected.keys() == json.loads(about.read_text())["outputs"].keys() >= {"restored"}
    np.testing.assert_allclose(found["restored"], expected["restored"], rtol=1e-5, atol=1e-6)
    assert np.ptp(expected["restored"]) > 0.1


class Counted(Trained):
    """Computes with the number of images."""

    def infer(self, variables, images):
        return {"numbers": jax.numpy.arange(int(images.shape[0]))}


def test_what_is_refused(network, tiny_run, tmp_path, capsys, monkeypatch):
    def refused(*arguments):
        assert cli.main(["export", "--workdir", *map(str, arguments)]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("jaxcnn: ") and err.count("\n") == 1 and "Traceback" not in err
        return err

    to = ("--to", "stablehlo")
    assert "not a run directory" in refused(tmp_path, *to, tmp_path / "a")
    assert "'coda'; did you mean 'cuda'?" in refused(tiny_run, *to, tmp_path / "a", "--platforms", "cpu", "coda")
    assert "each once" in refused(tiny_run, *to, tmp_path / "a", "--platforms", "cpu", "cpu")
    (tmp_path / "file").touch()
    assert "a cannot be written: Not a directory" in refused(tiny_run, *to, tmp_path / "file" / "a")
    assert "Is a directory" in refused(tiny_run, *to, tmp_path)
    (tmp_path / "b.json").mkdir()
    assert "b.json cannot be written" in refused(tiny_run, *to, tmp_path / "b")
    with pytest.raises(InputError, match=r"convnet of .* cannot be exported: .* free number of images"):
        Counted(tiny_run).export(tmp_path / "a")
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(InputError, match=r"pip install flatbuffers; or, .*JAXCNN_EXTRAS=export"):
        network.export(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "file"]  # nothing is left
