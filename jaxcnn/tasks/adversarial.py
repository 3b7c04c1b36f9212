"""A game of two players: a generator draws images, a discriminator tells them from real ones (Goodfellow et al. 2014).

`gan` is the game with the non-saturating loss (arXiv:1406.2661, section 3), `acgan` the one with an auxiliary
classifier (Odena, Olah and Shlens 2017, arXiv:1610.09585); bagan.py is a third. A step is `discriminator_steps`
updates of the discriminator, each on its part of the batch with codes of its own, then one of the generator.

The network of a game has an attribute `conditional` and the methods

    draw(keys (n,), labels (n,)) -> codes
    generate(codes, labels, *, train) -> images (n, h, w, c) in [0, 1]
    judge(images, *, train) -> (source (n,), class logits (n, K) or None, features)

and its parameters lie under "generator" and "discriminator", as in jaxcnn.architectures.dcgan. Each player's batch
statistics move in its own turn alone; real and generated images are judged as two batches, each normalised by its own
statistics. A game has no loss that falls as samples get better: nothing chooses a best checkpoint, the latest is it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxcnn.errors import InputError, look_up
from jaxcnn.operators import softmax_cross_entropy
from jaxcnn.tasks.task import About, Kind, Measure, Player, Sample, Scores, Task, Terms, images_as_they_are

WON = 0.05  # mean probabilities of being real: generated images below it, real ones above 1 less it


class Losses(NamedTuple):
    """Losses (n,) of the source (n,), the logit of being real: of real and generated images, and of the generator."""

    real: Callable
    fake: Callable
    generator: Callable


def non_saturating(real_label: float, fake_label: float) -> Losses:
    """-log D(x) - log(1 - D(G(z))) and, of the generator, -log D(G(z)), for D the sigmoid of the source.

    The discriminator's targets 1 and 0 may be others: 0.9 and 0 are one-sided label smoothing, 0.9 and 0.1 two-sided
    (Salimans et al. 2016, arXiv:1606.03498, section 3.4).
    """
    against = optax.sigmoid_binary_cross_entropy
    return Losses(
        lambda source: against(source, real_label),
        lambda source: against(source, fake_label),
        lambda source: against(source, 1.0),
    )


def hinge(real_label: float, fake_label: float) -> Losses:
    """max(0, 1 - source), max(0, 1 + source) and, of the generator, -source (Lim and Ye 2017; Miyato et al. 2018)."""
    if (real_label, fake_label) != (1.0, 0.0):
        raise ValueError("real_label and fake_label are targets of probabilities, which the loss 'hinge' is without")
    return Losses(
        lambda source: optax.hinge_loss(source, 1.0),
        lambda source: optax.hinge_loss(source, -1.0),
        lambda source: -source,
    )


LOSSES = {"non_saturating": non_saturating, "hinge": hinge}  # f(real_label, fake_label) -> Losses


class Rules(NamedTuple):
    """The rules of a game.

    Attributes:
      losses: the Losses.
      classes: K, where images are of classes; else 0.
      steps: of the discriminator in a step.
      fake_weight: of the loss of a generated image in the discriminator's mean, a real one's is 1.
      fake_classes: whether the discriminator learns the classes of generated images, too.
      methods: names of those that the network has beside the three of every game.
    """

    losses: Losses
    classes: int
    steps: int
    fake_weight: float = 1.0
    fake_classes: bool = False
    methods: tuple = ()


def gan(
    about: About,
    *,
    loss: str = "non_saturating",
    real_label: float = 1.0,
    fake_label: float = 0.0,
    discriminator_steps: int = 1,
) -> Task:
    """The Task of generating images as those of `about`, whatever they show.

    Args:
      about: an About.
      loss: a name of LOSSES.
      real_label, fake_label: the discriminator's targets, see `non_saturating`.
      discriminator_steps: updates of the discriminator before each of the generator.
    Raises:
      ValueError: an option does not fit.
    """
    losses = _losses(loss, real_label, fake_label)
    return make_game(about, Rules(losses, 0, checked_steps(discriminator_steps)))


def acgan(
    about: About,
    *,
    loss: str = "non_saturating",
    real_label: float = 1.0,
    fake_label: float = 0.0,
    discriminator_steps: int = 1,
) -> Task:
    """The Task of generating images of the classes of `about`; arguments as of `gan`.

    Both players minimise the cross entropy of the classes besides, the discriminator's of real and of generated images.
    """
    losses, classes = _losses(loss, real_label, fake_label), classes_of(about)
    return make_game(about, Rules(losses, classes, checked_steps(discriminator_steps), fake_classes=True))


def _losses(name, real_label, fake_label):
    if not 0 <= fake_label < real_label <= 1:
        raise ValueError(
            f"real_label is {real_label} and fake_label {fake_label}; they are probabilities, the real one the larger"
        )
    return look_up(name, table=LOSSES, kind="loss")(real_label, fake_label)


def checked_steps(number: int) -> int:
    """A number of the discriminator's steps; ValueError where it is none."""
    if not (isinstance(number, int) and number >= 1):
        raise ValueError(f"discriminator_steps is {number}; it is a whole number from 1")
    return number


def classes_of(about: About) -> int:
    """The number of classes; ValueError where images are without."""
    if not about.classes or "label" not in about.fields:
        raise ValueError("images are generated by class, but these data are without labels; task 'gan' needs none")
    return len(about.classes)


def make_game(about: About, rules: Rules, **more: Any) -> Task:
    """The Task of a game.

    Outputs of `infer`: "real" (n,), the discriminator's probability that an image is real, and with classes "classes"
    (n, K), its probabilities of them; of a batch that `inputs` has prepared "fake" and "fake_classes" as well, of one
    generated image each.

    Args:
      about: an About.
      rules: the Rules.
      **more: further fields of the Task.
    Raises:
      ValueError: images would be mixed.
    """
    if about.mix is not None:
        raise ValueError("mixup and cutmix would show the discriminator images that are not real")
    players = (
        Player("discriminator", functools.partial(_discriminate, rules), ("discriminator",), rules.steps),
        Player("generator", functools.partial(_generate, rules), ("generator",)),
    )
    return Task(
        players=players,
        infer=functools.partial(_infer, rules),
        score=functools.partial(_score, rules),
        prepare=about.prepare,
        mix=functools.partial(_mix, rules),
        inputs=functools.partial(_inputs, rules),
        notices=_notices,
        describe=functools.partial(_describe, about),
        init=functools.partial(_init, rules),
        check=functools.partial(_check, rules),
        sample=Sample(_codes, _images, conditional=rules.classes > 0),
        enter=images_as_they_are,
        **more,
    )


def balanced_labels(number: jax.Array, classes: int) -> jax.Array:
    """Classes (n,) of images to generate, in turn: of consecutive numbers (n,) as many are of each, or one more.

    Without classes, 0, all are 0.
    """
    return number % max(classes, 1)


def _mix(rules, key, batch, numbers):
    """The batch with the class that the balanced ones begin with: no class is that of one image more in every step."""
    first = jax.random.randint(key, (), 0, max(rules.classes, 1))
    return {**batch, "first": jnp.broadcast_to(first, batch["mask"].shape)}


def _inputs(rules, batch):
    """The batch with a key and a class to generate for each image, by its number: the same at every evaluation."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), batch["index"])
    return {**batch, "key": keys, "shown": balanced_labels(batch["index"], rules.classes)}


def _codes(module, keys, labels):
    return module.draw(keys, labels)


def _images(module, codes, labels):
    return module.generate(codes, labels, train=False)


def _discriminate(rules, module, batch, numbers):
    # of the discriminator's turns each has every steps-th image
    shown = balanced_labels(batch["position"] // rules.steps + batch["first"], rules.classes)
    images = module.generate(module.draw(batch["key"], shown), shown, train=True)
    real, classes, _ = module.judge(batch["image"], train=True)
    fake, fake_classes, _ = module.judge(images, train=True)
    loss, loss_of_fake = rules.losses.real(real), rules.losses.fake(fake)
    means = {"real": jax.nn.sigmoid(real), "fake": jax.nn.sigmoid(fake)}
    if rules.classes:
        loss = loss + _cross_entropy(classes, batch["label"])
        means["top1"] = _right(classes, batch["label"])
    if rules.fake_classes:
        loss_of_fake = loss_of_fake + _cross_entropy(fake_classes, shown)
    if rules.fake_weight == 1:  # the sum of two means, as the papers have it
        return Terms(loss + loss_of_fake, means)
    weight = jnp.full_like(loss, 1 + rules.fake_weight)
    return Terms(loss + rules.fake_weight * loss_of_fake, means, weight)


def _generate(rules, module, batch, numbers):
    shown = balanced_labels(batch["position"] + batch["first"], rules.classes)
    images = module.generate(module.draw(batch["key"], shown), shown, train=True)
    fake, classes, _ = module.judge(images, train=True)
    loss, means = rules.losses.generator(fake), {"fake": jax.nn.sigmoid(fake)}
    if rules.classes:
        loss = loss + _cross_entropy(classes, shown)
        means["top1"] = _right(classes, shown)
    return Terms(loss, means)


def _cross_entropy(logits, labels):
    return softmax_cross_entropy(logits, jax.nn.one_hot(labels, logits.shape[1]))


def _right(logits, labels):
    return (jnp.argmax(logits, axis=1) == labels).astype(jnp.float32)


def _infer(rules, module, batch):
    outputs = _judgement(rules, module, batch["image"], "")
    if "shown" not in batch:
        return outputs
    images = module.generate(module.draw(batch["key"], batch["shown"]), batch["shown"], train=False)
    return {**outputs, **_judgement(rules, module, images, "fake_")}


def _judgement(rules, module, images, prefix):
    source, classes, _ = module.judge(images, train=False)
    outputs = {prefix.rstrip("_") or "real": jax.nn.sigmoid(source)}
    return {**outputs, f"{prefix}classes": jax.nn.softmax(classes)} if rules.classes else outputs


def _score(rules, outputs, batch):
    means = {name: outputs[name] for name in ("real", "fake")}
    if rules.classes:
        means["top1"] = _right(outputs["classes"], batch["label"])
        means["fake_top1"] = _right(outputs["fake_classes"], batch["shown"])
    return Scores(means)


def _notices(values):
    """Says that the discriminator wins: it tells nearly all held-out images from generated ones, and is sure of it."""
    if values["fake"] < WON and values["real"] > 1 - WON:
        judged = f"D(x) is above {1 - WON:g} and D(G(z)) below {WON:g}"
        return [f"the discriminator wins: {judged}, so the generator learns little"]
    return []


def _describe(about, outputs):
    said = {"real": float(outputs["real"])}
    if "classes" in outputs:
        said["label"] = about.classes[int(outputs["classes"].argmax())]
    return said


def _init(rules, module, batch):
    """Creates all parameters; gives the shapes that _check reads."""
    wanted = ("draw", "generate", "judge", "conditional", *rules.methods)
    if missing := [name for name in wanted if not hasattr(module, name)]:
        raise InputError(
            f"config.model.name: {type(module).__name__} is no network of this game: it has no {', '.join(missing)}. "
            "dcgan_28 and dcgan_32 are for the tasks gan and acgan, bagan_28 and bagan_32 for bagan."
        )
    if module.conditional != bool(rules.classes):
        raise InputError(
            f"config.model.options: conditional is {module.conditional}, but this task generates images "
            f"{'by class' if rules.classes else 'without a class'}: {not module.conditional} fits."
        )
    labels = jnp.zeros(len(batch["image"]), jnp.int32)
    module(batch["image"], train=False)
    codes = module.draw(jax.random.split(jax.random.key(0), len(labels)), labels)
    source, classes, _ = module.judge(batch["image"], train=False)
    return {"image": module.generate(codes, labels, train=False), "source": source, "classes": classes}


def _check(rules, name, result, about):
    """Raises InputError where generated images are not of the size of real ones, or judgements of other shapes."""
    image, (source, classes) = result["image"].shape, (result["source"], result["classes"])
    if image != (2, *about.shape):
        raise InputError(
            f"architecture {name} generates images of {image[1:]}, but those of the data are {tuple(about.shape)}: "
            "config.data.image_size and config.model.options.channels bring them together."
        )
    if source.shape != (2,) or (rules.classes and getattr(classes, "shape", None) != (2, rules.classes)):
        found = getattr(classes, "shape", None)
        raise InputError(
            f"architecture {name} judges 2 images by a source of shape {source.shape} and class logits of {found}, but "
            f"(2,) and {(2, rules.classes) if rules.classes else None} are wanted."
        )


def measures(*, classes: int) -> dict[str, Measure]:
    """The measures of a game."""
    points: dict[str, Any] = {"unit": "points"}
    loss = Measure(higher_is_better=False, label="loss")
    common = {
        "fake": Measure(**points, label="D(G(z)), generated images called real"),
        "real": Measure(**points, label="D(x), real images called real"),
    }
    told = {
        "fake_top1": Measure(**points, label="generated images called by their class"),
        "top1": Measure(**points, label="real images called by their class"),
    }
    own = {**common, **({"top1": told["top1"]} if classes else {})}
    return {
        **(told if classes else {}),
        **common,
        "discriminator/loss": loss,
        **{f"discriminator/{name}": measure for name, measure in own.items()},
        "generator/loss": loss,
        "generator/fake": common["fake"],
        **({"generator/top1": told["fake_top1"]} if classes else {}),
    }


GAN = Kind(measures=measures(classes=False), selects=(), create=gan)
ACGAN = Kind(measures=measures(classes=True), selects=(), create=acgan, tells_apart=True)
