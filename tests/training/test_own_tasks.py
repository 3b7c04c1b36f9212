"""Kinds of learning that a user's package brings train, resume and are measured as classification is."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from jaxcnn.cli import main
from jaxcnn.data import load
from jaxcnn.errors import InputError
from jaxcnn.sweeps import Claim, Study, run_study
from jaxcnn.training.train import Preempted

PACKAGE = '''
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxcnn.data import Arrays, Records, load, read_all
from jaxcnn.tasks import Kind, Measure, Player, Scores, Task, Terms, gathered, means_alone


class Autoencoder(nn.Module):
    """An image through eight numbers and back."""

    width: int = 8

    @nn.compact
    def __call__(self, x, *, train: bool):
        code = nn.relu(nn.Dense(self.width, name="encoder")(x.reshape(len(x), -1)))
        return nn.sigmoid(nn.Dense(x[0].size, name="decoder")(code)).reshape(x.shape), {"code": code}


def squared_error(a, b):
    return jnp.mean(jnp.square(a - b), axis=(1, 2, 3))


def denoise(about, *, sigma=0.1):
    """The clean image from one with Gaussian noise; noise of evaluation derives from the image's number."""

    def prepare(key, example, numbers):
        noisy = example["image"] + sigma * jax.random.normal(key, example["image"].shape)
        return {**example, "image": noisy, "target": example["image"]}

    def inputs(batch):
        keys = jax.vmap(jax.random.key)(batch["index"])
        return jax.vmap(prepare, (0, 0, None))(keys, batch, {})

    def objective(module, batch, numbers):
        restored, _ = module(batch["image"], train=True)
        return Terms(squared_error(restored, batch["target"]), {})

    def infer(module, batch):
        return {"restored": module(batch["image"], train=False)[0]}

    def score(outputs, batch):
        error = squared_error(outputs["restored"], batch["target"])
        return Scores({"loss": error}, rows={"squared": error, "mask": batch["mask"]})

    def finish(n, means, sums, rows):
        squared = rows["squared"][rows["mask"] > 0]
        return {**means, "psnr": float(np.mean(-10 * np.log10(squared)))}

    return Task(
        (Player("autoencoder", objective, turns=2),), infer, score, prepare=prepare, inputs=inputs, finish=finish,
        stored=("squared",), describe=lambda outputs: {"brightness": outputs["restored"].mean()},
    )


DENOISE = Kind(
    {"loss": Measure(higher_is_better=False), "psnr": Measure("dB", label="signal to noise")}, ("psnr", "loss"), denoise
)


class Pair(nn.Module):
    """Two numbers, one a player."""

    def setup(self):
        self.a = Number()
        self.b = Number()

    def __call__(self, x, *, train: bool):
        return self.a(), self.b()


class Number(nn.Module):
    @nn.compact
    def __call__(self):
        return self.param("value", nn.initializers.constant(3.0), ())


def game(about):
    """a minimises (a - b / 2 - 1)**2 / 2, b minimises (b + a / 2)**2 / 2: equilibrium a = 0.8, b = -0.4."""

    def first(module, batch, numbers):
        loss = jnp.square(module.a() - module.b() / 2 - 1) / 2
        return Terms(jnp.broadcast_to(loss, batch["mask"].shape), {})

    def second(module, batch, numbers):
        loss = jnp.square(module.b() + module.a() / 2) / 2
        return Terms(jnp.broadcast_to(loss, batch["mask"].shape), {})

    def infer(module, batch):
        return {name: jnp.broadcast_to(x, batch["mask"].shape) for name, x in zip("ab", module(None, train=False))}

    def score(outputs, batch):
        return Scores({"distance": jnp.hypot(outputs["a"] - 0.8, outputs["b"] + 0.4)})

    players = (Player("first", first, ("a",)), Player("second", second, ("b",), turns=2))
    return Task(players, infer, score)


GAME = Kind(
    {name: Measure(higher_is_better=False) for name in ("first/loss", "second/loss", "distance")}, (), game
)


def alike(about):
    """The loss of an image is its code's distance from the mean code of the whole batch."""
    task = denoise(about)

    def objective(module, batch, numbers):
        _, features = module(batch["image"], train=True)
        mean = gathered(features["code"]).mean(axis=0, keepdims=True)
        return Terms(jnp.sum(jnp.square(features["code"] - mean), axis=1), {})

    return task._replace(players=(Player("encoder", objective),), whole_batch=True)


ALIKE = DENOISE._replace(create=alike)


def changed(**changes):
    """denoise with other parts."""
    return lambda about: denoise(about)._replace(**changes)


def without_mask(key, example, numbers):
    return {name: x for name, x in example.items() if name != "mask"} | {"target": example["image"]}


def with_labels(module, batch):
    return {"restored": module(batch["image"], train=False)[0], "label": batch["label"]}


UNMEASURED = DENOISE._replace(create=changed(finish=means_alone))
UNNAMED = Kind({"psnr": Measure()}, (), lambda about: denoise(about)._replace(players=(), finish=means_alone))
TEXT = DENOISE._replace(selects="psnr")
FORGETFUL = DENOISE._replace(create=changed(prepare=without_mask))
LONE = DENOISE._replace(create=lambda about: denoise(about)._replace(players=denoise(about).players[0]))
LABELLED = DENOISE._replace(create=changed(infer=with_labels))


def boxed(split, *, data_dir, **options):
    """Digits, of every second the box of its upper half, and of every third that of its lower half too."""
    splits = {}
    for name in ("train", "test"):
        images = read_all(load("digits", f"{name}[:120]", image_size=(8, 8)))["image"]
        number = np.arange(120)
        there = np.stack([number % 2 == 0, number % 3 == 0], axis=1)
        boxes = there[..., None] * np.array([[0, 0, 4, 8], [4, 0, 4, 8]], np.float32)
        splits[name] = images, {"boxes": boxes, "box_mask": there, "target": 255 - images}
    fields = {"boxes": ((2, 4), np.float32), "box_mask": ((2,), bool), "target": "image"}
    return Records(Arrays("boxed", splits, fields=fields), split, **options)


class Locator(nn.Module):
    """Two boxes of an image."""

    @nn.compact
    def __call__(self, x, *, train: bool):
        return nn.Dense(8)(x.reshape(len(x), -1)).reshape(-1, 2, 4), {}


def locate(about):
    """The distance of every box that is there, beside how far the target is from the image inverted, which is 0."""
    assert about.fields["target"] == ((8, 8, 1), np.uint8) and about.classes == ()

    def terms(boxes, batch):
        there = batch["box_mask"].astype(jnp.float32)
        loss = jnp.sum(there * jnp.abs(boxes - batch["boxes"]).mean(axis=2), axis=1)
        inverted = jnp.abs(1 - batch["target"] - batch["image"]).max(axis=(1, 2, 3))
        return loss, there.sum(axis=1), inverted

    def objective(module, batch, numbers):
        loss, count, inverted = terms(module(batch["image"], train=True)[0], batch)
        return Terms(loss, {"inverted": inverted}, weight=count)

    def score(outputs, batch):
        loss, count, inverted = terms(outputs["boxes"], batch)
        return Scores({"loss": (loss, count), "inverted": inverted}, rows={"boxes": outputs["boxes"]})

    return Task(
        (Player("locator", objective),), lambda module, batch: {"boxes": module(batch["image"], train=False)[0]}, score
    )


LOCATE = Kind({name: Measure(higher_is_better=False) for name in ("loss", "inverted")}, ("loss",), locate)
'''
CONFIG = {
    "model.name": "my_tasks:Autoencoder",
    "model.options": {},
    "model.dropout": None,
    "task.name": "my_tasks:DENOISE",
    "optimizer.ema": 0.5,
    "batch_size": 16,
    "evaluation.batch_size": 16,
    "duration": "6 steps",
    "evaluation.every": "2 steps",
    "checkpoint.every": "2 steps",
    "log_every": 2,
}
KINDS = {
    "autoencoder": {},
    "boxes": {
        "task.name": "my_tasks:LOCATE",
        "model.name": "my_tasks:Locator",
        "data.name": "my_tasks:boxed",
        "data.validation": "train[90%:]",
        "data.train": "train[:90%]",
    },
    "game": {"task.name": "my_tasks:GAME", "model.name": "my_tasks:Pair", "optimizers": {"second": {"rate": 0.5}}},
}


@pytest.fixture
def config(tiny_config, user_package):
    """config("game", {...}) is a config of one of the user's tasks."""
    user_package("my_tasks", PACKAGE)

    def make(kind, changes=None):
        changes = {"data.image_size": (8, 8), **CONFIG, **KINDS[kind], **(changes or {})}
        with (made := tiny_config()).unlocked():
            made.update_from_flattened_dict(changes)
        return made

    return make


def train(config, workdir, devices=1):
    return jaxcnn.train(config, workdir, quiet=True, devices=jax.devices()[:devices])


def assert_close(one, other):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one.state.params, other.state.params
    )


def read(workdir, split):
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [row for row in rows if row.get("split") == split]


def long(*values):
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.mark.parametrize("kind", [long("autoencoder"), "boxes", "game"])
def test_killed_and_resumed_it_ends_with_the_same_bits(
    kind, config, tmp_path, terminate_at, rows, assert_same_bits, one_device
):
    whole = train(config(kind), tmp_path / "whole")
    terminate_at(3 * 16)
    with pytest.raises(Preempted):
        train(config(kind), tmp_path / "broken")
    resumed = train(config(kind), tmp_path / "broken")
    assert_same_bits(whole.state, resumed.state)
    assert rows(whole.workdir) == rows(resumed.workdir) and whole.validation == resumed.validation
    assert whole.test == resumed.test


@pytest.mark.parametrize("kind", [long("autoencoder"), "boxes", long("game")])
def test_eight_devices_give_what_one_does(kind, config, tmp_path):
    one, eight = (train(config(kind), tmp_path / str(count), count) for count in (1, 8))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one.state.params, eight.state.params
    )
    assert one.test.get("inverted", 0) < 1e-6  # of boxes: the second image came with the first
    measures = [name for name, value in one.test.items() if isinstance(value, float)]
    assert measures and [one.test[name] for name in measures] == pytest.approx(
        [eight.test[name] for name in measures], rel=1e-3
    )


@pytest.mark.parametrize(("kind", "metric"), [long("autoencoder", "psnr"), long("boxes", "loss"), ("game", "distance")])
def test_a_study_in_one_program_judges_a_claim_and_a_member_is_the_run_alone(kind, metric, config, tmp_path):
    rate = "optimizer.learning_rate"
    claim = Claim("A higher rate is farther away.", {rate: 0.1}, {rate: 0.02}, f"test_{metric}")
    study = Study(config(kind), {rate: (0.1, 0.02)}, seeds=(0, 1), claims=(claim,))
    cells, failed = run_study(study, tmp_path, title="", quiet=True, population=True)
    assert not failed and [len(cell.values[f"test_{metric}"]) for cell in cells] == [2, 2]
    assert "A higher rate is farther away." in (tmp_path / "summary.md").read_text()
    run = study.runs()[3]
    alone = train(run.config, tmp_path / "alone")
    starts = json.loads((tmp_path / run.id / "environment.json").read_text())["starts"]
    assert starts[-1]["members"] == 4
    member = jaxcnn.Trained(tmp_path / run.id, "latest").variables
    own = jaxcnn.Trained(tmp_path / "alone", "latest").variables
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), member, own)
    assert cells[1].values[f"test_{metric}"][1] == pytest.approx(alone.test[metric], rel=1e-3)


def test_a_game_comes_to_its_equilibrium(config, tmp_path):
    changes = {"duration": "60 steps", "optimizer.learning_rate": 0.3, "optimizer.momentum": 0.0, "log_every": 60}
    every = {"evaluation.every": "60 steps", "checkpoint.every": "60 steps", "optimizers": {}}
    result = train(config("game", {**changes, **every}), tmp_path)
    assert result.test["distance"] < 1e-5
    (row,) = read(tmp_path, "train")
    assert {"first/loss", "second/loss", "first/gradient_norm", "second/gradient_norm", "learning_rate"} <= row.keys()


def test_turns_and_rates_of_a_player_count(config, tmp_path):
    """One step of SGD from a = b = 3 at rate 0.1: a moves once, then b twice, at half the rate, against the new a."""
    plain = {"optimizer.momentum": 0.0, "duration": "1 steps", "evaluation.every": "1 steps"}
    result = train(config("game", {**plain, "optimizer.learning_rate": 0.1, "optimizer.weight_decay": 0.0}), tmp_path)
    a = 3 - 0.1 * (3 - 3 / 2 - 1)
    b = 3
    for _ in range(2):
        b -= 0.05 * (b + a / 2)
    params = result.state.params
    assert (float(params["a"]["value"]), float(params["b"]["value"])) == pytest.approx((a, b), rel=1e-6)


def test_the_turns_of_a_player_are_of_one_step_of_the_schedule(config, tmp_path):
    """From the second step on the rate is 0: what one step gives, both turns of b among it, stays."""
    plain = {"optimizer.momentum": 0.0, "optimizer.learning_rate": 0.1, "optimizer.weight_decay": 0.0}
    once = train(config("game", {**plain, "duration": "1 steps", "evaluation.every": "1 steps"}), tmp_path / "once")
    changes = {**plain, "schedule.name": "step", "schedule.boundaries": ("1 steps",), "schedule.factor": 0.0}
    long_run = {"duration": "3 steps", "evaluation.every": "3 steps", "checkpoint.every": "3 steps"}
    result = train(config("game", {**changes, **long_run}), tmp_path / "three")
    jax.tree.map(np.testing.assert_array_equal, result.state.params, once.state.params)


def test_the_best_checkpoint_is_chosen_by_the_task_s_measure(config, tmp_path):
    result = train(config("autoencoder"), tmp_path)
    held_out = [
        json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines() if '"validation"' in line
    ]
    best = max(held_out, key=lambda row: row["psnr"])
    assert result.validation == {"step": best["step"], "psnr": best["psnr"], "loss": best["loss"]}
    with np.load(tmp_path / "evaluations" / f"test-{best['step']}.npz") as kept:
        stored = kept["squared"]
    assert len(stored) == result.test["n"] and result.test["loss"] == pytest.approx(stored.mean(), rel=1e-5)


def test_a_run_of_an_own_task_evaluates_and_predicts(config, tmp_path):
    result = train(config("autoencoder"), tmp_path)
    network = jaxcnn.Trained(tmp_path)
    _, row = network.evaluate("test")
    assert {name: row[name] for name in ("n", "loss", "psnr")} == {
        name: result.test[name] for name in ("n", "loss", "psnr")
    }
    image = load("digits", "test[:1]", image_size=(8, 8)).read([0])["image"]
    Image.fromarray(image[0, ..., 0]).save(tmp_path / "digit.png")
    (said,) = network.predict([tmp_path / "digit.png"])
    restored, _ = network.model.apply(network.variables, image / np.float32(255), train=False)
    assert said == {"file": str(tmp_path / "digit.png"), "brightness": pytest.approx(float(restored.mean()), rel=1e-4)}
    jaxcnn.write_report(tmp_path)
    assert "signal to noise" in (tmp_path / "report.html").read_text()


def test_a_run_of_an_own_task_is_reported_and_verbs_for_classifiers_say_so(config, tmp_path, capsys):
    run = tmp_path / "run"
    train(config("autoencoder"), run)
    assert main(["report", "--workdir", str(run)]) == 0
    report = (run / "report.html").read_text()
    assert "Held-out signal to noise" in report and "run of task my_tasks:DENOISE" in report
    capsys.readouterr()
    said = f"needs class probabilities; {run} is a run of task my_tasks:DENOISE.\n"
    for verb, use in (
        (["evaluate", "--crops=1"], "the mean of views or runs"),
        (["visualize", "mistakes"], "mistakes"),
        (["visualize", "occlusion", "--index=0"], "occlusion"),
    ):
        assert main([*verb, "--workdir", str(run)]) == 2
        assert capsys.readouterr().err == f"jaxcnn: {use} {said}"
    assert main(["visualize", "confusion", "--workdir", str(run)]) == 2
    assert "A confusion matrix needs a classifier" in capsys.readouterr().err
    assert not (run / "pictures").exists() or not list((run / "pictures").iterdir())
    for kind in (["activations", "--index=0"], ["tsne", "--stage=code", "--count=40"], ["top", "--units=0"]):
        assert main(["visualize", *kind, "--workdir", str(run), f"--output={tmp_path}/{kind[0]}.png"]) == 0


def test_a_run_of_boxes_is_opened_with_its_fields(config, tmp_path):
    result = train(config("boxes"), tmp_path, len(jax.devices()))  # those that evaluate takes: the same program
    network = jaxcnn.Trained(tmp_path)
    _, row = network.evaluate("test")
    assert {name: row[name] for name in ("n", "loss")} == {name: result.test[name] for name in ("n", "loss")}
    with pytest.raises(InputError, match=r"task my_tasks:LOCATE .* does not describe images"):
        network.predict([tmp_path])


def test_a_loss_across_the_batch_sees_all_of_it(config, tmp_path):
    """Twice the batch on one device or cut over two: the same parameters; cut into parts it is refused."""
    alike = {"task.name": "my_tasks:ALIKE"}
    one, two = (train(config("autoencoder", alike), tmp_path / str(count), count) for count in (1, 2))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), one.state.params, two.state.params
    )
    with pytest.raises(InputError, match="compares the images of a whole batch"):
        train(config("autoencoder", {**alike, "optimizer.accumulate": 2}), tmp_path / "cut")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task.name": "my_tasks:GAMES"}, "GAME"),
        (
            {"augment.flip": True, "augment.recipe": "cifar"},
            "config.augment.flip, config.augment.pad_crop, config.augment.recipe would do",
        ),
        ({"augment.mixup": 0.2}, "does not mix images: config.augment.mixup would do nothing"),
        (
            {"loss.name": "focal", "loss.options": {"gamma": 1.0}},
            "its own: config.loss.name, config.loss.options.gamma would",
        ),
        ({"task.name": "clasification"}, "classification"),
        ({"task.options": {"sigm": 1.0}}, "sigm"),
        ({"task.name": "my_tasks:GAME"}, "player first moves a, but the network has the parameters decoder, encoder"),
        ({"batch_size": 31}, "31, which does not divide into 2 parts: 2 turns of player autoencoder on 1 devices"),
        (
            {"task.name": "my_tasks:UNMEASURED"},
            "selects by psnr, which its score and finish do not measure",
        ),
        ({"task.name": "my_tasks:UNNAMED"}, "measures loss, but the measures of its Kind are psnr: add it"),
        ({"task.name": "my_tasks:TEXT"}, r"selects is 'psnr'; it is a tuple, \('psnr',\)"),
        ({"task.name": "my_tasks:FORGETFUL"}, "prepare drops mask of its example"),
        ({"task.name": "my_tasks:LONE"}, r"it is a tuple of Players, \(Player"),
        ({"task.name": "my_tasks:LABELLED"}, "infer, of images alone, as predict calls it: KeyError: 'label'"),
        ({"optimizers": {"judge": {"rate": 1.0}}}, "autoencoder"),
        ({"optimizers": {"autoencoder": {"rat": 1.0}}}, "rate"),
    ],
)
def test_slips_are_named(changes, words, config, tmp_path):
    with pytest.raises(InputError, match=words):
        train(config("autoencoder", changes), tmp_path)


def test_a_sum_over_boxes_is_divided_by_their_number_in_the_whole_batch(config, tmp_path):
    """Cut into parts with unequal numbers of boxes, a batch moves the parameters as it does in one piece."""
    whole, parts = (
        train(config("boxes", {"optimizer.accumulate": count, "duration": "2 steps"}), tmp_path / str(count))
        for count in (1, 4)
    )
    assert_close(whole, parts)
    one, other = (read(result.workdir, "train")[-1] for result in (whole, parts))
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
