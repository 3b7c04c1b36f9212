"""Images that a network restores: files come back upright, at their own size, under their names."""

import io
import json

import jax
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.data import decode_image

PACKAGE = """
import flax.linen as nn


class Plain(nn.Module):
    '''The image, and a convolution of it.'''

    scale: float = 0.0
    grey: float = 0.0

    @nn.compact
    def __call__(self, x, *, train: bool):
        seen = x.mean(axis=(1, 2), keepdims=True) - x if self.grey else 0
        return x + self.grey * seen + self.scale * nn.Conv(x.shape[-1], (3, 3), name="conv")(x), {}


class Divided(nn.Module):
    '''The image over its mean, times it.'''

    @nn.compact
    def __call__(self, x, *, train: bool):
        mean = x.mean(axis=(1, 2, 3), keepdims=True)
        return x / mean * mean + 0 * nn.Conv(x.shape[-1], (3, 3), name="conv")(x), {}


class Flat(nn.Module):
    '''The image through a layer of one size, which begins as the identity.'''

    @nn.compact
    def __call__(self, x, *, train: bool):
        size = x[0].size
        kernel = self.param("kernel", lambda *_: jnp.eye(16 * 16 * 3))
        return (x.reshape(len(x), size) @ kernel).reshape(x.shape), {}
""".replace("import flax.linen as nn", "import flax.linen as nn\nimport jax.numpy as jnp", 1)


@pytest.fixture
def restorer(tiny_config, user_package, tmp_path):
    """restorer("Plain", scale=0.1) is the directory of a run of one step, at a rate of 0, on 16x16 colour images."""
    user_package("jaxcnn_test_restored", PACKAGE)
    random = np.random.default_rng(0)
    (tmp_path / "photographs").mkdir()
    for number in range(20):
        image = random.integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / "photographs" / f"{number}.png")

    def make(name, task=None, **options):
        changes = {
            "data.name": f"images:{tmp_path}/photographs",
            "data.image_size": (16, 16),
            "model.name": f"jaxcnn_test_restored:{name}",
            "model.options": options,
            "task.name": "reconstruction",
            "task.options": task or {},
            "optimizer.learning_rate": 0.0,
            "batch_size": 8,
            "duration": "1 steps",
            "evaluation.every": "1 steps",
            "checkpoint.every": "1 steps",
        }
        with (config := tiny_config()).unlocked():
            config.update_from_flattened_dict(changes)
        jaxcnn.train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
        return tmp_path / "run"

    return make


@pytest.fixture
def photograph(tmp_path):
    """A JPEG of 37 rows and 53 columns as stored, which a person sees turned: EXIF orientation 6."""
    y, x = np.mgrid[:37, :53]
    image = np.stack([4 * x, 6 * y, np.full_like(x, 40)], axis=-1).astype(np.uint8)
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(file, "JPEG", exif=exif, quality=95)
    folder = tmp_path / "holidays" / "sea"
    folder.mkdir(parents=True)
    (folder / "beach.jpg").write_bytes(file.getvalue())
    return folder / "beach.jpg"


def predict(run, *arguments):
    return main(["predict", "--workdir", str(run), *map(str, arguments)])


def test_a_photograph_comes_back_upright_at_its_size_under_its_name(restorer, photograph, tmp_path, capsys):
    run, out = restorer("Plain"), tmp_path / "out"
    (photograph.parent / "torn.png").write_bytes(b"torn")
    assert predict(run, tmp_path / "holidays", "--output", out, "--json") == 1
    beach, torn = json.loads(capsys.readouterr().out)["predictions"]
    upright = decode_image(photograph.read_bytes())
    assert upright.shape == (53, 37, 3)
    with Image.open(out / "sea" / "beach.png") as image:
        assert not image.getexif()
        np.testing.assert_array_equal(np.asarray(image), upright)
    assert beach == {"file": str(photograph), "output": str(out / "sea" / "beach.png"), "change": 0.0}
    assert torn["file"].endswith("torn.png") and "error" in torn
    assert sorted(path.name for path in out.rglob("*.*")) == ["beach.png"]


def test_inside_it_is_what_the_network_makes_of_the_whole_photograph(restorer, photograph, tmp_path, capsys):
    run = restorer("Plain", scale=0.3)
    assert predict(run, photograph, "--output", tmp_path / "out") == 0
    assert "written to" in capsys.readouterr().out
    network, upright = jaxcnn.Trained(run), decode_image(photograph.read_bytes())
    whole, _ = network.model.apply(network.variables, upright[None] / np.float32(255), train=False)
    wanted = np.round(255 * np.clip(whole[0], 0, 1))
    with Image.open(tmp_path / "out" / "beach.png") as image:
        found = np.asarray(image).astype(int)
    assert (found != upright).any()
    np.testing.assert_allclose(
        found[:-1, :-1], wanted[:-1, :-1], atol=1
    )  # zeros end the whole one, mirrored pixels ours


@pytest.mark.parametrize("options", [{"scale": 0.3}, {"grey": 0.5}], ids=["in windows", "whole"])
def test_a_large_photograph_is_what_one_piece_gives(options, restorer, tmp_path, monkeypatch, caplog):
    run, large = restorer("Plain", **options), tmp_path / "large"
    large.mkdir()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (170, 45, 3), np.uint8)).save(large / "a.png")
    assert predict(run, large, "--output", tmp_path / "one") == 0
    assert "one piece" not in caplog.text
    monkeypatch.setattr("jaxcnn.evaluation.tiles.INSIDE", 32)
    seen, restore = [], jaxcnn.Trained.map
    monkeypatch.setattr(jaxcnn.Trained, "map", lambda self, f, x, **o: seen.append(x.shape) or restore(self, f, x, **o))
    assert predict(run, large, "--output", tmp_path / "windows") == 0
    one, windows = (np.asarray(Image.open(tmp_path / name / "a.png")).astype(int) for name in ("one", "windows"))
    assert one.shape == (170, 45, 3) and abs(one - windows).max() <= 1 and (one != windows).mean() < 1e-3
    if "grey" in options:
        assert seen == [(1, 192, 64, 3)] and caplog.text.count("sees the whole image: files are restored in one") == 1
    else:
        assert seen == [(1, 96, 64, 3)] * 4 and "one piece" not in caplog.text


def test_photographs_of_like_sizes_share_a_program(restorer, tmp_path):
    random, folder = np.random.default_rng(0), tmp_path / "several"
    folder.mkdir()
    for number, size in enumerate(((20, 40), (31, 33), (32, 64), (33, 40))):
        Image.fromarray(random.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{number}.png")
    network = jaxcnn.Trained(restorer("Plain"))
    from jaxcnn.evaluation.restored import restore_files

    rows = restore_files(network, [folder], tmp_path / "out")
    assert [row["change"] for row in rows] == [0.0] * 4
    assert len(network._batched(network.restored, batch_size=1).programs) == 2


def test_to_a_network_of_one_size_files_are_scaled_and_back(restorer, photograph, tmp_path, caplog):
    run = restorer("Flat")
    assert predict(run, photograph, "--output", tmp_path / "out") == 0
    assert caplog.text.count("takes images of 16x16 alone: files are scaled to that and back") == 1
    upright = decode_image(photograph.read_bytes()).astype(int)
    with Image.open(tmp_path / "out" / "beach.png") as image:
        assert image.size == (37, 53)
        assert abs(np.asarray(image) - upright).mean() < 5  # a smooth image; turned or mirrored it is above 50


def test_no_file_is_overwritten_and_no_two_results_share_a_name(restorer, photograph, tmp_path, capsys):
    run = restorer("Plain")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(photograph.with_name("beach.png"))
    assert predict(run, photograph.parent, "--output", tmp_path / "out") == 2
    assert "would both be written to" in capsys.readouterr().err
    photograph.unlink()
    before = photograph.with_name("beach.png").read_bytes()
    assert predict(run, photograph.parent, "--output", photograph.parent) == 2
    assert "would be overwritten by its result" in capsys.readouterr().err
    assert photograph.with_name("beach.png").read_bytes() == before and not (tmp_path / "out").exists()


def test_a_classifier_restores_nothing(tiny_run, photograph, tmp_path, capsys):
    assert predict(tiny_run, photograph, "--output", tmp_path / "out") == 2
    assert "--output is for networks that restore images or find objects." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_output_it_says_by_how_much_a_photograph_changes(restorer, photograph, capsys):
    assert predict(restorer("Plain"), photograph, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"predictions": [{"file": str(photograph), "change": 0.0}]}


def test_whole_images_are_measured_at_their_own_size(restorer, tmp_path, capsys):
    """The network gives its input, so that the PSNR of the output is that of the noise; sse grows with the size."""
    run = restorer("Plain", task={"corrupt": "noise", "sigma": 10.0})
    folder = tmp_path / "others" / "test"
    folder.mkdir(parents=True)
    sizes = 5 * [(50, 70)] + 5 * [(100, 31)]
    for number, size in enumerate(sizes):
        Image.fromarray(np.full((*size, 3), 128, np.uint8)).save(folder / f"{number}.png")
    options = ("--split", "test", "--data", f"images:{folder}", "--whole", "--json")
    assert main(["evaluate", "--workdir", str(run), *options]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["n"] == 10 and row["psnr"] == pytest.approx(np.mean([image["psnr"] for image in row["images"]]))
    for image, size in zip(row["images"], map(np.prod, sizes), strict=True):
        assert image["psnr"] == pytest.approx(20 * np.log10(255 / 10), abs=0.2)
        assert image["sse"] == pytest.approx(3 * size * image["mse"], rel=1e-5)
        assert image["psnr_input"] == pytest.approx(image["psnr"], abs=1e-4) and 0 < image["ssim"] < 1


def test_an_image_whose_restoration_is_no_number_is_not_left_out(restorer, tmp_path, capsys):
    """The network divides by the mean of its input, which is 0 of a black image."""
    run = restorer("Divided", task={"corrupt": "noise", "sigma": 0.0})
    folder = tmp_path / "others" / "test"
    folder.mkdir(parents=True)
    for number in range(10):
        Image.fromarray(np.full((50, 70, 3), 20 * number, np.uint8)).save(folder / f"{number}.png")
    options = ("--split", "test", "--data", f"images:{folder}", "--whole", "--json")
    assert main(["evaluate", "--workdir", str(run), *options]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["n"] == 10 and sum(np.isnan(image["mse"]) for image in row["images"]) == 1
    assert np.isnan(row["mse"])


def test_a_network_of_one_size_is_not_measured_on_whole_images(restorer, capsys):
    assert main(["evaluate", "--workdir", str(restorer("Flat")), "--whole"]) == 2
    assert "takes images of 16x16 alone" in capsys.readouterr().err
