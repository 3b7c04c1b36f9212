"""Protocols and ensembles against NumPy, from the probabilities of every view by itself."""

import csv
import itertools
import json
import pathlib
import re
import shutil
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from jaxcnn import InputError, Trained, create, train
from jaxcnn.data import load
from jaxcnn.evaluation.ensemble import Networks, dense_network
from jaxcnn.evaluation.error_table import Protocol, Tally, write_csv
from jaxcnn.evaluation.protocols import evaluate_protocols
from jaxcnn.training.rundir.about import read_statistics, write_statistics
from jaxcnn.training.rundir.evaluations import read_evaluations

COMPILED = "/jax/core/compile/backend_compile_duration"

SLIDING = """
import flax.linen as nn
import jax.numpy as jnp
from jaxcnn.operators.dense import SlidingDense

class Net(nn.Module):
    num_classes: int = 3
    map_size: int = 6
    dense_evaluation: bool = False

    @nn.compact
    def __call__(self, x, *, train: bool):
        x = nn.tanh(nn.Conv(4, (3, 3), padding="VALID")(x))
        if self.dense_evaluation:
            return jnp.mean(SlidingDense(self.num_classes, self.map_size, name="fc")(x), axis=(1, 2)), {}
        return nn.Dense(self.num_classes, name="fc")(x.reshape(x.shape[0], -1)), {}
"""

SPOT = """
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxcnn.data import Arrays, Records

def load(split, *, data_dir, **options):
    images = np.zeros((7, 8, 8, 1), np.uint8)
    test = images.copy()
    test[2, 7, 7] = 255                               # a corner that the centre crop of 6x6 does not see
    labels = np.zeros(7, int)
    return Records(Arrays("spot", {"train": (images, labels), "test": (test, labels)}, "abcdef"), split, **options)

class Net(nn.Module):
    @nn.compact
    def __call__(self, x, *, train: bool):
        logits = self.param("logits", nn.initializers.constant(1.0), (1, 6)) - jnp.arange(6.0)[None]
        logits = jnp.tile(logits, (x.shape[0], 1))
        return jnp.where(x.max(axis=(1, 2, 3))[:, None] > 0.9, jnp.nan, logits), {}
"""


@pytest.fixture(scope="module")
def members(tiny_config, tiny_run, tmp_path_factory):
    """Three runs that differ in their seed; the last normalises its images by other numbers too."""
    found = [shutil.copytree(tiny_run, tmp_path_factory.mktemp("members") / "seed0")]
    for seed in (1, 2):
        found.append(found[0].with_name(f"seed{seed}"))
        train(tiny_config({"seed": seed}), found[-1], quiet=True, devices=jax.devices()[:1])
    mean, std = read_statistics(found[-1])
    write_statistics(found[-1], mean + 0.1, 1.2 * std)
    return [str(path) for path in found]


@pytest.fixture(scope="module")
def table(members):
    return evaluate_protocols(members, "validation", crops=(10, 1, 144), scales=(12, 10))


def scaled(image, side):
    return np.asarray(Image.fromarray(image[..., 0]).resize((side, side), Image.Resampling.BILINEAR))[..., None]


def six(image, size=8):
    """Corners, centre and the whole of a square image, written out."""
    rest = image.shape[0] - size
    places = [(0, 0), (0, rest), (rest, 0), (rest, rest), (rest // 2, rest // 2)]
    return [*(image[y : y + size, x : x + size] for y, x in places), scaled(image, size)]


def mirrored(views):
    return [*views, *(view[:, ::-1] for view in views)]


@pytest.fixture(scope="module")
def averages(members):
    """({protocol: mean probabilities (members, n, K)}, labels), view by view."""
    records = load("digits", Trained(members[0]).config.data.validation, image_size=(8, 8))
    batch = records.read(range(len(records)))  # stored as 8x8
    views = {
        **{("1 crop", side): lambda x, side=side: six(scaled(x, side))[4:5] for side in (10, 12)},
        **{("10 crops", side): lambda x, side=side: mirrored(six(scaled(x, side))[:5]) for side in (10, 12)},
        ("144 crops", None): lambda x: [v for side in (9, 10, 11, 13) for v in mirrored(six(scaled(x, side)))],
    }
    networks, found = [Trained(workdir) for workdir in members], {}
    for (name, side), function in views.items():
        images = np.stack([function(image) for image in batch["image"]])  # (n, v, 8, 8, 1)
        outputs = [network.probabilities(images.reshape(-1, 8, 8, 1), batch_size=720) for network in networks]
        means = np.stack([output.reshape(*images.shape[:2], 10).mean(axis=1) for output in outputs])
        found[name if side is None else f"{name}, scale {side}"] = means
    for name in ("1 crop", "10 crops"):
        found[f"{name}, mean over scales 10 12"] = (found[f"{name}, scale 10"] + found[f"{name}, scale 12"]) / 2
    return found, batch["label"]


def errors(probabilities, labels):
    ranked = np.argsort(-probabilities, axis=1)
    return (ranked[:, 0] != labels).mean(), (ranked[:, :5] != labels[:, None]).all(axis=1).mean()


def test_every_protocol_and_subset(members, table, averages):
    means, labels = averages
    assert len(labels) == 144  # 4 batches of 32 and a half
    assert {(row["protocol"], len(row["members"])) for row in table.subsets} == set(itertools.product(means, (1, 2, 3)))
    assert len(table.subsets) == len(means) * 7
    for row in table.subsets:
        chosen = [members.index(name) for name in row["members"]]
        expected = errors(means[row["protocol"]][chosen].mean(axis=0), labels)
        assert (row["top1_error"], row["top5_error"]) == pytest.approx(expected), row
    assert len({row["top1_error"] for row in table.subsets}) > 10, "all alike: this could not fail"


def test_rows_are_members_and_means_over_subsets_of_a_size(members, table, averages):
    means, labels = averages
    assert [row.protocol for row in table.rows[::6]] == [
        *("1 crop, scale 10", "1 crop, scale 12", "1 crop, mean over scales 10 12"),
        *("10 crops, scale 10", "10 crops, scale 12", "10 crops, mean over scales 10 12", "144 crops"),
    ]
    assert len(table.rows) == 7 * 6 and {row.n for row in table.rows} == {144}
    rows = {row.members: row for row in table.rows if row.protocol == "10 crops, scale 10"}
    assert [*rows] == [*members, "1 of 3", "2 of 3", "all 3"]
    assert [row.subsets for row in rows.values()] == [1, 1, 1, 3, 3, 1]
    for size, name in ((1, "1 of 3"), (2, "2 of 3")):
        subsets = list(itertools.combinations(range(3), size))
        some = [errors(means["10 crops, scale 10"][list(s)].mean(axis=0), labels) for s in subsets]
        top1, top5 = np.array(some).T
        assert rows[name].top1_error == pytest.approx(top1.mean()) and rows[name].top5_error == pytest.approx(
            top5.mean()
        )
        assert rows[name].top1_std == pytest.approx(top1.std(ddof=1)) and rows[name].top1_std > 0
        assert rows[name].top5_std == pytest.approx(top5.std(ddof=1))
    assert rows["all 3"].top1_std is None and rows[members[0]].top5_std is None


def test_probabilities_are_averaged_not_logits(averages):
    """The two disagree on these images, so the test of every protocol tells them apart."""
    means, labels = averages
    each = means["10 crops, scale 12"]
    assert (each.mean(axis=0).argmax(axis=1) != np.log(each).mean(axis=0).argmax(axis=1)).any()
    assert len(labels) == 144


def test_equal_networks_share_one_program_and_nothing_is_compiled_after_the_first_block(members):
    events = []

    def listen(event, seconds, **_):
        if event == COMPILED:
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        found = evaluate_protocols(
            members[:2], "validation", crops=(1, 10), report=lambda done, total: events.append((done, total))
        )
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    blocks = [event for event in events if event != COMPILED]
    assert blocks == [*((done, 144) for done in range(32, 144, 32)), (144, 144)]
    assert COMPILED in events[: events.index(blocks[0])] and COMPILED not in events[events.index(blocks[0]) :]
    assert found.compilations == 1 and found.views == 8  # at 9 pixels the centre is a corner
    assert found.rows[0].protocol == "1 crop, scale 9"  # 8 * 256 / 224 = 9.14
    assert found.steps == {workdir: Trained(workdir).step for workdir in members[:2]}


def test_only_a_single_run_keeps_its_table(members, table):
    path = pathlib.Path(members[0]) / "evaluations.jsonl"
    before = read_evaluations(members[0])
    assert table.rows and "protocols" not in path.read_text()
    found = evaluate_protocols(members[:1], "test", checkpoint="10")
    logged = json.loads(path.read_text().splitlines()[-1])
    assert logged["protocols"] == [row._asdict() for row in found.rows]
    assert (logged["architecture"], logged["step"], logged["split"]) == ("convnet", 10, "test")
    assert [row.n for row in found.rows] == [360]
    assert read_evaluations(members[0]) == before, "a table must not pass for the run's own evaluation"


def test_csv(table, tmp_path):
    write_csv(tmp_path / "table.csv", table.rows)
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[3]["members"] == "1 of 3" and rows[3]["n"] == "144" and rows[0]["top1_std"] == ""
    assert [float(row["top1_error"]) for row in rows] == [row.top1_error for row in table.rows]
    with pytest.raises(InputError, match="nowhere"):
        write_csv(tmp_path / "nowhere" / "table.csv", [])


def test_a_nan_or_equal_probabilities_are_wrong():
    """Two members, three images of class 1: in the second image member 0 has a NaN, in the third all classes tie."""
    right = np.eye(6, dtype=np.float32)[1]
    averages = np.tile(right, (2, 3, 1, 1))  # (members, n, 1, K)
    averages[0, 1, 0, 4] = np.nan
    averages[:, 2] = 1 / 6
    tally = Tally(2, [Protocol("any", (0,))], 6)
    tally.add(averages, np.ones(3, np.int32), 5)
    found = {len(row["members"]) and tuple(row["members"]): row for row in tally.each(["a", "b"])}
    assert {k: v["top1_error"] for k, v in found.items()} == {
        ("a",): pytest.approx(2 / 3),
        ("b",): pytest.approx(1 / 3),
        ("a", "b"): pytest.approx(2 / 3),
    }
    assert found["a", "b"]["top5_error"] == pytest.approx(1 / 3)  # class 1 is the second of those that tie


def test_five_classes_or_fewer_and_many_members():
    tally = Tally(7, [Protocol("any", (0,))], 3)
    tally.add(np.full((7, 2, 1, 3), 1 / 3, np.float32), np.array([0, 2], np.int32), 2)
    rows = tally.rows("abcdefg")
    assert [row.members for row in rows] == [*"abcdefg", "1 of 7", "all 7"]
    assert {(row.top1_error, row.top5_error, row.top5_std) for row in rows} == {(0.5, None, None)}


def test_a_nan_of_one_view_spoils_only_the_protocols_that_see_it(tiny_config, user_package, tmp_path):
    user_package("jaxcnn_test_spot", SPOT)
    changes = {"data.name": "jaxcnn_test_spot:load", "data.image_size": (6, 6), "data.mean": "none", "data.std": "none"}
    config = tiny_config({**changes, "model.name": "jaxcnn_test_spot:Net", "batch_size": 2, "duration": "1 steps"})
    with config.unlocked():
        config.model.options = {}
    train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    found = evaluate_protocols([tmp_path / "run"], "test", crops=(1, 10), scales=(8,))
    assert [(row.protocol, row.n) for row in found.rows] == [("1 crop, scale 8", 7), ("10 crops, scale 8", 7)]
    assert [row.top1_error for row in found.rows] == [0, pytest.approx(1 / 7)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Twelve images of three sizes in three classes; one of the test images is broken."""
    root, generator = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for split, label, (i, size) in itertools.product(
        ("train", "test"), "abc", enumerate([(20, 20), (20, 31), (26, 20), (20, 31)])
    ):
        (root / split / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8)).save(root / split / label / f"{i}.png")
    path = root / "test/b/3.png"
    path.write_bytes(path.read_bytes()[:60])
    return root


def test_dense_evaluation_is_the_network_slid_over_the_image(tiny_config, user_package, tmp_path, photographs):
    user_package("jaxcnn_test_sliding", SLIDING)
    changes = {"data.name": f"folder:{photographs}", "data.on_error": "skip", "batch_size": 4, "duration": "4 steps"}
    config = tiny_config({**changes, "model.name": "jaxcnn_test_sliding:Net"})
    with config.unlocked():
        config.model.options = {}
    train(config, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    found = evaluate_protocols([tmp_path / "run"], "test", crops=(1,), scales=(10, 12), dense=True)

    network = Trained(tmp_path / "run")
    records = load(f"folder:{photographs}", "test", image_size=(8, 8), on_error="skip")
    logits_of = jax.jit(lambda images: network.model.apply(network.variables, images, train=False)[0])

    def slide(pixels):
        places = [(y, x) for y in range(pixels.shape[0] - 7) for x in range(pixels.shape[1] - 7)]
        windows = np.zeros((64, 8, 8, 3), np.float32)
        windows[: len(places)] = [pixels[y : y + 8, x : x + 8] for y, x in places]
        return np.asarray(logits_of(windows))[: len(places)].mean(axis=0)

    def by_hand(image, scale):
        size = [round(side * scale / min(image.shape[:2])) for side in image.shape[:2]]
        image = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        pixels = (image / np.float32(255) - network.mean.reshape(1, 1, 3)) / network.std.reshape(1, 1, 3)
        exponentials = np.exp([slide(pixels), slide(pixels[:, ::-1])])
        return (exponentials / exponentials.sum(axis=1, keepdims=True)).mean(axis=0)

    items = [item for item in map(records.whole, range(len(records))) if item["mask"]]
    labels = np.array([item["label"] for item in items])
    dense = {s: np.stack([by_hand(item["image"], s) for item in items]) for s in (10, 12)}
    expected = {f"dense, scale {s}": (p.argmax(axis=1) != labels).mean() for s, p in dense.items()}
    mean = (dense[10] + dense[12]) / 2
    expected["dense, mean over scales 10 12"] = (mean.argmax(axis=1) != labels).mean()
    assert {r.protocol: r.top1_error for r in found.rows if "dense" in r.protocol} == pytest.approx(expected)
    assert {row.n for row in found.rows} == {11} and found.rows[0].top5_error is None
    assert found.compilations == 1 + 2 * 3  # crops; three shapes at each scale
    view = np.random.default_rng(0).integers(0, 256, (10, 16, 3), np.uint8)
    networks = Networks([network], network.on_devices()[0], batch_size=8)
    both = networks.probabilities(0, np.stack([view, view[:, ::-1]]), dense=True)
    np.testing.assert_allclose(both.mean(axis=0), by_hand(view, 10), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "least", "options"), [("vgg_a_small", 32, {}), ("alexnet_small", 32, {})])
def test_architectures_with_full_connections(name, least, options):
    """The map that fc6 sees is found from the images it was trained on; at their size nothing changes."""
    model, shape = create(name, **options), (least, least, 3)
    variables = jax.eval_shape(
        lambda x: model.init(jax.random.key(0), x, train=False), np.zeros((1, *shape), np.float32)
    )
    dense = dense_network(SimpleNamespace(model=model, shape=shape, variables=variables))
    for side in (least, least + 20):
        logits, _ = jax.eval_shape(
            lambda v, x: dense.apply(v, x, train=False), variables, np.zeros((2, side, side + 20, 3), np.float32)
        )
        assert logits.shape == (2, 10)


def edited(workdir, target, old, new):
    """A copy of a run with another word in its config."""
    shutil.copytree(workdir, target)
    text = (target / "config.json").read_text()
    assert old in text
    (target / "config.json").write_text(text.replace(old, new))
    return str(target)


def test_the_scale_is_that_of_the_run(members, tmp_path):
    run = edited(members[0], tmp_path / "resize", '"resize": 0', '"resize": 12')
    assert [row.protocol for row in evaluate_protocols([run], "validation").rows] == ["1 crop, scale 12"]


def test_one_crop_is_the_image_of_plain_evaluation_and_several_are_of_a_larger_one(members):
    (row,) = evaluate_protocols(members[:1], "test").rows
    _, plain = Trained(members[0]).evaluate("test")
    assert row.top1_error == pytest.approx(1 - plain["top1"], abs=1e-12)
    assert evaluate_protocols(members[:1], "test", crops=(10,)).rows[0].protocol == "10 crops, scale 9"  # 8 * 8 / 7


def test_what_does_not_go_together(members, tmp_path):
    def refused(workdirs, **options):
        with pytest.raises(InputError) as error:
            evaluate_protocols(workdirs, "validation", **options)
        return str(error.value)

    one = members[0]
    assert "given twice" in refused([one, one])
    assert "not 5" in refused([one], crops=(5,))
    assert "scale of 7" in refused([one], scales=(7, 10))
    text = refused([one], dense=True)
    assert f"convnet ({one}) cannot be evaluated densely" in text
    assert "9x10: its fully connected layers take images of 8x8 only." in text
    assert "fit 'pad'" in refused([edited(one, tmp_path / "pad", '"fit": "crop"', '"fit": "pad"')])
    text = refused([one, edited(one, tmp_path / "split", "train[90%:]", "train[80%:]")])
    assert "'train[90%:]'" in text and "'train[80%:]'" in text
    other = shutil.copytree(one, tmp_path / "classes")
    data = json.loads((other / "data.json").read_text())
    (other / "data.json").write_text(json.dumps({**data, "classes": [*data["classes"][:-1], "nine"]}))
    text = refused([one, other])
    assert f"only in {one}: 9; only in {other}: nine" in text
    (other / "data.json").write_text(json.dumps({**data, "classes": data["classes"][::-1]}))
    assert re.search("same in another order; only in .*none; only in .*none", refused([one, other]))
