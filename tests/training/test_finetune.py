"""Fine-tuning: what stays to the bit, what learns at which rate and from when, and what a source must have."""

import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.traverse_util import flatten_dict

import jaxcnn
from jaxcnn.architectures import create
from jaxcnn.data import Arrays, Records
from jaxcnn.errors import InputError
from jaxcnn.population import train_population
from jaxcnn.training.finetune.freeze import frozen_statistics, with_rates
from jaxcnn.training.finetune.plan import inherit, make_plan
from jaxcnn.training.optimizer import make_optimizer
from jaxcnn.training.rundir.about import read_statistics
from jaxcnn.training.rundir.checkpoint import Checkpoints
from jaxcnn.training.schedule import make_schedule
from jaxcnn.training.setup import set_up
from jaxcnn.training.train import Preempted

TRUNK = ("conv1_1", "conv1_1_norm")
NETWORK = {"widths": (4,), "convolutions": 2, "hidden": (8,), "batch_norm": True}
SOURCE = {
    "data.train": "train[:96]",
    "data.validation": "train[96:160]",
    "data.test": "",
    "model.options": NETWORK,
    "batch_size": 24,
    "duration": "4 steps",
    "evaluation.every": "4 steps",
}
# Everything that could move what is frozen: weight decay, momentum, an average, statistics over three replicas.
TUNED = {
    **SOURCE,
    "data.name": "test_finetune:three_classes",
    "data.train": "train",
    "data.validation": "same",
    "model.name": "",
    "model.options": {},
    "finetune.freeze": ("conv*", "fc1"),
    "finetune.unfreeze": (("conv1_2*", "5 steps"),),  # in the middle of a chunk, were it not cut there
    "finetune.rates": (("fc1*", 0.5),),
    "optimizer.ema": 0.9,
    "optimizer.weight_decay": 0.01,
    "duration": "9 steps",
    "evaluation.every": "9 steps",
    "steps_per_call": 2,
    "checkpoint.every": "2 steps",
    "checkpoint.keep": 10,
    "parallel": "shard_map",
    "seed": 1,
}


def three_classes(split, *, data_dir, image_size, channels, fit, on_error):
    """48 random images of three classes."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (48, *(image_size or (8, 8)), 1), dtype=np.uint8)
    splits = dict.fromkeys(("train", "same"), (images, np.arange(48) % 3))
    return Records(Arrays("three", splits, "abc"), split, on_error=on_error)


three_classes.default_splits = {"train": "train", "validation": "same", "test": ""}


def tree(state, *keys):
    """{"params/conv1_1/kernel": array, ...} of the parts of a State."""
    found = {key: flatten_dict(getattr(state, key), sep="/") for key in keys}
    return {f"{key}/{name}": np.asarray(x) for key, flat in found.items() for name, x in flat.items()}


def momentum(state, name):
    """The momentum of the parameter whose path ends so."""
    paths = jax.tree.leaves_with_path(state.opt_state)
    return next(np.asarray(x) for path, x in paths if jax.tree_util.keystr(path).endswith(name))


def refused(function, *arguments, **options):
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    return str(caught.value)


@pytest.fixture(scope="module")
def source(tiny_config, tmp_path_factory):
    """The Result of the run whose network the others begin with."""
    workdir = tmp_path_factory.mktemp("source")
    return jaxcnn.train(tiny_config(SOURCE), workdir, quiet=True, devices=jax.devices()[:1])


@pytest.fixture(scope="module")
def tuned_config(tiny_config, source):
    def make(changes=None):
        with (config := tiny_config()).unlocked():
            config.data.image_size = ()
            config.update_from_flattened_dict({**TUNED, "finetune.source": str(source.workdir), **(changes or {})})
            config.model.options = jaxcnn.default_config().model.options
        return config

    return make


@pytest.fixture(scope="module")
def tuned(tuned_config, tmp_path_factory):
    """The Result of fine-tuning, on three devices."""
    return jaxcnn.train(tuned_config(), tmp_path_factory.mktemp("tuned"), quiet=True, devices=jax.devices()[:3])


@pytest.fixture(scope="module")
def state_at(tuned):
    """state_at(step): the State that the fine-tuned run saved there."""

    def load(step):
        with Checkpoints(tuned.workdir / "checkpoints", read_only=True) as checkpoints:
            return checkpoints.load(step, tuned.state)

    return load


def test_what_is_frozen_is_bit_identical(source, tuned, state_at):
    given, first, last = (tree(x, "params", "batch_stats") for x in (source.state, state_at(2), tuned.state))
    for name in given:
        module = name.split("/")[1]
        if module != "output":
            frozen = module in TRUNK or name in ("params/fc1/kernel",)
            assert (given[name].tobytes() == last[name].tobytes()) == frozen, name
            late = frozen or module.startswith("conv1_2")
            assert (given[name].tobytes() == first[name].tobytes()) == late, name
    average = tree(tuned.state, "ema")
    assert average["ema/params/conv1_1/kernel"].tobytes() == given["params/conv1_1/kernel"].tobytes()
    assert average["ema/params/fc1_norm/scale"].tobytes() != given["params/fc1_norm/scale"].tobytes()


def test_momentum_of_what_is_frozen_stays_zero_until_it_learns(tuned, state_at):
    assert not momentum(tuned.state, "['conv1_1']['kernel']").any()
    assert not momentum(state_at(4), "['conv1_2']['kernel']").any()
    assert momentum(state_at(6), "['conv1_2']['kernel']").any()


def test_the_rate_of_a_layer_is_the_run_s_times_its_factor(tuned, state_at):
    """The last step by itself: w - w' = rate * factor * v."""
    before, after = state_at(8).params, tuned.state.params
    factors = {
        ("conv1_1", "kernel"): 0.0,
        ("conv1_2", "kernel"): 1.0,
        ("fc1_norm", "scale"): 0.5,
        ("output", "bias"): 1.0,
    }
    for (module, leaf), factor in factors.items():
        moved = np.asarray(before[module][leaf]) - np.asarray(after[module][leaf])
        expected = 0.1 * factor * momentum(tuned.state, f"['{module}']['{leaf}']")
        np.testing.assert_allclose(moved, expected, atol=2e-7)
        assert moved.any() == bool(factor)


def test_a_layer_thaws_at_its_step(source, state_at):
    kernel = tree(source.state, "params")["params/conv1_2/kernel"]
    same = [tree(state_at(step), "params")["params/conv1_2/kernel"].tobytes() == kernel.tobytes() for step in (2, 4, 6)]
    assert same == [True, True, False]


def test_the_head_is_new_and_the_run_says_what_it_began_from(source, tuned):
    assert tuned.state.params["output"]["kernel"].shape == (8, 3)
    events = [json.loads(line) for line in (tuned.workdir / "metrics.jsonl").read_text().splitlines()]
    begun = next(row for row in events if row.get("event") == "begun")
    assert (begun["source"], begun["step"], begun["source_step"]) == (str(source.workdir), 0, 4)
    assert begun["head"] == ["output/bias", "output/kernel"]


def test_the_images_are_normalised_as_the_source_s(source, tuned):
    for theirs, ours in zip(read_statistics(source.workdir), read_statistics(tuned.workdir), strict=True):
        np.testing.assert_array_equal(theirs, ours)


def test_architecture_and_image_size_are_the_source_s(tuned):
    trained = jaxcnn.Trained(tuned.workdir)
    assert (trained.config.model.name, trained.shape) == ("convnet", (8, 8, 1))
    assert trained.config.model.options.to_dict() == NETWORK
    assert trained.evaluate("train")[1]["n"] == 48


def test_how_images_are_fitted_is_the_source_s_where_the_config_leaves_it_open(tiny_config, tiny_run, tmp_path):
    shutil.copytree(tiny_run, tmp_path / "source")
    values = json.loads((tmp_path / "source" / "config.json").read_text())
    values["data"].update(fit="pad", interpolation="bicubic")
    (tmp_path / "source" / "config.json").write_text(json.dumps(values))
    for own in ("stretch", "crop"):
        config = tiny_config({"data.fit": own, "finetune.source": str(tmp_path / "source")})
        with config.unlocked():
            config.data.image_size = ()
        inherit(config)
        assert (config.data.fit, config.data.interpolation) == (own, "bicubic")
    (tmp_path / "source" / "data.json").unlink()
    config.data.image_size = ()
    assert "source has not begun to train" in refused(inherit, config)


def test_broken_off_in_either_phase_it_ends_with_the_same_bits(
    tuned, tuned_config, tmp_path, terminate_at, assert_same_bits, rows
):
    terminate_at(2 * 24, 7 * 24)  # each read ahead, in the chunk before
    stops = []
    while True:
        try:
            again = jaxcnn.train(tuned_config(), tmp_path, quiet=True, devices=jax.devices()[:3])
            break
        except Preempted as stop:
            stops.append(int(re.search(r"step (\d+) of", str(stop))[1]))
    assert len(stops) == 2 and stops[0] < 5 < stops[1]
    assert_same_bits(tuned.state, again.state)
    assert rows(tuned.workdir) == rows(tmp_path)
    assert (tmp_path / "metrics.jsonl").read_text().count('"event": "begun"') == 1


OPTIMIZERS = [
    {},
    {"optimizer.momentum_convention": "caffe"},
    {"optimizer.name": "adam"},
    {"optimizer.name": "rmsprop"},
    {"optimizer.decay": "decoupled", "optimizer.decay_mask": "kernels"},
]


@pytest.mark.parametrize("changes", OPTIMIZERS, ids=lambda changes: "-".join(map(str, changes.values())) or "sgd")
def test_a_factor_scales_the_update_of_its_parameter(changes, tiny_config):
    """Three updates; at powers of two the ratio is exact. Frozen: no update, and the optimizer's memory stays."""
    config = tiny_config({"optimizer.weight_decay": 0.01, **changes})
    make = make_optimizer(config, make_schedule(config, steps_per_epoch=1.0, total=10))
    plain = make({"learning_rate_scale": 1.0, "momentum": 0.9, "weight_decay": 0.01})
    factors = {"slow": {"kernel": 0.25}, "same": {"kernel": 1.0}, "frozen": {"kernel": 0.0}}
    scaled = with_rates(plain, factors)
    params = {name: {"kernel": jnp.linspace(-1.0, 2.0, 6).reshape(2, 3)} for name in factors}
    grads = jax.tree.map(jnp.sin, params)
    state, other, first = plain.init(params), scaled.init(params), scaled.init(params)
    for _ in range(3):
        updates, state = plain.update(grads, state, params)
        ours, other = scaled.update(grads, other, params)
        for name, factor in (("slow", 0.25), ("same", 1.0)):
            np.testing.assert_array_equal(ours[name]["kernel"], factor * updates[name]["kernel"])
    assert updates["slow"]["kernel"].any()
    zero = {"kernel": jnp.float32(-0.0)}
    assert np.signbit(optax.apply_updates(zero, jax.tree.map(lambda u: u[0, 0], ours["frozen"]))["kernel"])
    begun = {jax.tree_util.keystr(path): x for path, x in jax.tree.leaves_with_path(first) if "frozen" in str(path)}
    ended = {jax.tree_util.keystr(path): x for path, x in jax.tree.leaves_with_path(other)}
    assert begun
    for path, memory in begun.items():
        np.testing.assert_array_equal(memory, ended[path])


def plan(model, shape=(32, 32, 3), **settings):
    config = jaxcnn.default_config()
    config.finetune.update(settings)
    return make_plan(config, model, shape, lambda text, key: int(text.split()[0]))


def zeros(factors):
    return {name for part in factors.values() for name, factor in flatten_dict(part, sep="/").items() if factor == 0}


def test_up_to_a_stage_freezes_all_that_it_is_computed_from():
    frozen = {name.split("/")[0] for name in zeros(plan(create("resnet20"), freeze_to="stage2").factors[0])}
    assert frozen == {"conv1", "norm1", *(f"stage{s}_block{b}" for s in (1, 2) for b in (1, 2, 3))}
    made = plan(create("googlenet_bn", num_classes=10), (224, 224, 3), freeze_to="inception_4a")
    frozen = {name.split("/")[0] for name in zeros(made.factors[0])}
    assert {"conv1", "inception_3b", "inception_4a"} <= frozen
    assert not {name for name in frozen if name.startswith(("inception_4b", "inception_5", "aux", "linear"))}
    assert {name.split("/")[0] for name in made.head} == {"linear", "aux1", "aux2"}


def test_statistics_freeze_with_their_layer():
    factors = plan(create("resnet20"), freeze=("norm1/scale", "norm1/bias", "stage1_block1/norm1/scale")).factors[0]
    assert {name for name in zeros(factors) if name.endswith(("mean", "var"))} == {"norm1/mean", "norm1/var"}


def test_a_frozen_norm_normalises_by_its_running_statistics():
    """Inside rematerialised blocks too."""
    model = create("resnet20", remat=True).clone(depth=8)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    variables = jax.jit(lambda: model.init(jax.random.key(0), images, train=False))()
    factors = plan(model, (8, 8, 3), freeze=("*",)).factors[0]["batch_stats"]

    @jax.jit
    def both(variables):
        with frozen_statistics(factors):
            (logits, _), changed = model.apply(variables, images, train=True, mutable=["batch_stats"])
        return logits, model.apply(variables, images, train=False)[0], changed

    logits, expected, changed = both(variables)
    np.testing.assert_allclose(logits, expected, rtol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, changed["batch_stats"], variables["batch_stats"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"freeze": ("stage1_blok1",)}, ("finetune.freeze", "'stage1_blok1'", "'stage1_block1'")),
        ({"freeze": ("fc",)}, ("matches no kept parameter",)),  # the head
        ({"freeze_to": "stage4"}, ("no stage 'stage4'", "'stage3'")),
        ({"rates": (("cnv1", 0.1),)}, ("finetune.rates", "'conv1'")),
        ({"freeze": ("conv1",), "unfreeze": (("stage1*", "3 steps"),)}, ("matches no frozen parameter", "conv1")),
        ({"head": ("classifier",)}, ("finetune.head", "'classifier'")),
    ],
)
def test_what_is_not_there_names_the_nearest(settings, words):
    text = refused(plan, create("resnet20"), **settings)
    assert all(word in text for word in words), text


def test_a_head_that_no_other_number_of_classes_shows():
    config = jaxcnn.default_config()
    config.finetune.freeze = ("C1",)
    model = create("lenet5")  # its output is a bitmap for each of ten digits
    words = "config.finetune.head: it cannot be found by another number of classes, name it, as"
    assert words in refused(make_plan, config, model, (32, 32, 1), None)


def test_a_source_with_other_tensors_is_refused_with_both_sides(tuned_config, tmp_path, one_device):
    changes = {"model.name": "convnet", "finetune.freeze": (), "finetune.unfreeze": (), "finetune.rates": ()}
    with (config := tuned_config(changes)).unlocked():
        config.model.options = {"widths": (5,), "convolutions": 1, "hidden": (8,), "batch_norm": False}
    text = refused(jaxcnn.train, config, tmp_path, quiet=True, devices=one_device)
    there, here, shapes = re.search(
        "only in the checkpoint: (.*); only in this model: (.*); other shapes: (.*)", text
    ).groups()
    assert "batch_stats/conv1_2_norm/mean" in there and "params/conv1_1/bias, params/fc1/bias" in here
    assert "params/conv1_1/kernel (3, 3, 1, 4) there, (3, 3, 1, 5) here" in shapes
    assert "output/kernel" not in there + here + shapes


def test_a_rename_that_matches_nothing_names_the_nearest(tuned_config, tmp_path, one_device):
    config = tuned_config({"finetune.rename": (("conv1_1/krnel", "conv1_1/kernel"),)})
    text = refused(jaxcnn.train, config, tmp_path, quiet=True, devices=one_device)
    assert "config.finetune.rename: 'conv1_1/krnel' matches no parameter of the source; did you mean 'conv1_1'" in text


def test_a_size_that_is_given_keeps_how_the_source_fits_its_images(source, tuned_config, tmp_path):
    shutil.copytree(source.workdir, tmp_path / "source")
    path = tmp_path / "source" / "config.json"
    theirs = json.loads(path.read_text())
    theirs["data"] |= {"interpolation": "bicubic", "resize": 9}
    path.write_text(json.dumps(theirs))
    for size, resize in (((), 9), ((8, 8), 9), ((12, 12), 0)):
        config = tuned_config({"finetune.source": str(tmp_path / "source"), "data.image_size": size})
        with config.unlocked():
            inherit(config)
        assert (config.data.interpolation, config.data.resize) == ("bicubic", resize)


def test_what_cannot_be_is_refused_before_anything_is_read(tiny_config, tmp_path):
    def run(changes):
        return refused(jaxcnn.train, tiny_config(changes), tmp_path / "run", quiet=True)

    assert "config.model.name is empty" in run({"model.name": ""})
    assert "no config.json" in run({"finetune.source": str(tmp_path), "model.name": ""})
    assert "config.finetune.rates has 'conv1'" in run({"finetune.rates": ("conv1",)})
    assert "it is a number of 0 or more" in run({"finetune.rates": (("conv1", -1.0),)})
    assert "unfreeze lets 'conv1' learn from '20 steps', step 20, but the run has 20" in run(
        {"finetune.freeze": ("conv1",), "finetune.unfreeze": (("conv1", "20 steps"),)}
    )
    assert "config.finetune.rename is (('*', 'a/*'),), but config.finetune.source" in run(
        {"finetune.rename": (("*", "a/*"),)}
    )
    assert "config.finetune.unfreeze is '3'" in run({"finetune.unfreeze": (("conv1", "3"),)})
    text = refused(train_population, [tiny_config({"finetune.source": "runs/a"})], [tmp_path / "a"], tmp_path / "p")
    assert "--runner local" in text


def test_a_run_ends_after_evaluations_without_a_lower_error(tiny_config, tmp_path, one_device, terminate_at, rows):
    """At a rate of 0 the first evaluation is the best: the third after it is the last."""
    changes = {**SOURCE, "optimizer.learning_rate": 0.0, "duration": "40 steps", "evaluation.every": "2 steps"}
    options = {"widths": (4,), "convolutions": 1, "hidden": ()}  # no statistics that move by themselves
    config = tiny_config({**changes, "evaluation.patience": 3, "model.options": options})
    whole = jaxcnn.train(config, tmp_path / "whole", quiet=True, devices=one_device)
    assert whole.step == 8
    terminate_at(5 * 24)
    with pytest.raises(Preempted) as stop:
        jaxcnn.train(config, tmp_path / "broken", quiet=True, devices=one_device)
    assert "step 5 of 40" in str(stop.value)
    for _ in range(2):  # the second start finds it ended
        assert jaxcnn.train(config, tmp_path / "broken", quiet=True, devices=one_device).step == 8
        assert rows(tmp_path / "broken") == rows(tmp_path / "whole")


WRAPPED = '''
import flax.linen as nn
from jaxcnn.architectures import create

class Wrapped(nn.Module):
    """A network with a head of its own on the features of another."""
    num_classes: int = 3

    def setup(self):
        self.backbone = create("convnet", widths=(4,), convolutions=2, hidden=(8,), batch_norm=True)
        self.judge = nn.Dense(self.num_classes)

    def __call__(self, x, *, train: bool):
        _, features = self.backbone(x, train=train)
        return self.judge(features["fc1"]), features
'''


@pytest.fixture
def wrapped_config(tuned_config, user_package):
    user_package("wrapped_nets", WRAPPED)

    def make(changes=None):
        settings = {"rename": (("*", "backbone/*"),), "drop": ("output",), "head": ("judge",), "freeze": ("*",)}
        names = {f"finetune.{key}": value for key, value in {**settings, "unfreeze": (), "rates": ()}.items()}
        names |= {"model.name": "wrapped_nets:Wrapped", "duration": "1 steps", "evaluation.every": "1 steps"}
        return tuned_config({**names, **(changes or {})})

    return make


def test_a_source_begins_a_part_of_another_network(wrapped_config, source, tmp_path, one_device):
    """Every tensor of the source but its head, under the name that it has in the new network."""
    config = wrapped_config({"finetune.head": ("judge", "backbone/output")})
    begun = tree(jaxcnn.train(config, tmp_path, quiet=True, devices=one_device).state, "params", "batch_stats")
    given = tree(source.state, "params", "batch_stats")
    for name, tensor in given.items():
        kind, _, rest = name.partition("/")
        same = begun[f"{kind}/backbone/{rest}"].tobytes() == tensor.tobytes()
        assert same == (not rest.startswith("output/")), name


def test_slips_in_the_names_of_a_source_are_named(wrapped_config, tmp_path, one_device):
    def text(**changes):
        changes = {f"finetune.{key}": value for key, value in changes.items()}
        workdir = tmp_path / str(len(list(tmp_path.iterdir())))
        return refused(jaxcnn.train, wrapped_config(changes), workdir, quiet=True, devices=one_device)

    assert "backbone/output" in text()  # neither given nor a head
    assert "conv1_1/kernel" in text(rename=())
    assert "at most one *" in text(rename=(("*", "backbone"),))
    assert "config.finetune.drop: 'outputs' matches no" in text(drop=("outputs",))


def test_rates_fall_from_the_head_to_the_image(tiny_config):
    """The layers of LeNet-5 (LeCun et al. 1998, figure 2) by their distance from its output."""
    config = tiny_config({"model.name": "lenet5_common", "data.image_size": (32, 32)})
    config.model.options = jaxcnn.default_config().model.options
    config.finetune.layer_decay, config.finetune.rates = 0.5, (("C3", 0.3), ("C5/bias", 0.9))
    found = flatten_dict(set_up(config).plan.factors[0]["params"], sep="/")
    wanted = {"C1": 1 / 16, "C3": 0.3, "C5": 1 / 4, "F6": 1 / 2, "output": 1.0}
    assert found == {f"{layer}/{leaf}": rate for layer, rate in wanted.items() for leaf in ("kernel", "bias")} | {
        "C5/bias": 0.9
    }
