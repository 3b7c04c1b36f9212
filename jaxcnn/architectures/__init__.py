"""Architectures by name: a Linen module each, `model.apply(variables, x, train=...)` -> (logits, features).

An attribute `result` names another first value: "image" of autoencoders and restoring networks, "source", the logit
of being real, of a discriminator, "frames", the logits (n, t, K + 1) of a network that reads, or "next tokens", those
of one that writes. The last and generative networks have methods besides, see jaxcnn.tasks.translation and adversarial.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from jaxcnn import trust
from jaxcnn.architectures import (
    alexnet,
    autoencoder_conv,
    autoencoder_mlp,
    bagan,
    convnet,
    crnn,
    dcgan,
    deepface,
    densenet,
    dncnn,
    fast_rcnn,
    faster_rcnn,
    googlenet,
    inception_resnet,
    inception_v3,
    inception_v4,
    lenet,
    maxout,
    mlp,
    nin,
    rcnn,
    resnet,
    resnet_cifar,
    rnn_classifier,
    seq2seq,
    show_and_tell,
    show_attend_and_tell,
    simard,
    som_cnn,
    unet,
    vgg,
    zfnet,
)
from jaxcnn.architectures.claim import Claim

if TYPE_CHECKING:
    import flax.linen as nn


__all__ = ["ARCHITECTURES", "CLAIMS", "Claim", "create"]

PAPERS = (  # in the order of their years, behind those that return logits
    lenet,
    som_cnn,
    simard,
    mlp,
    convnet,
    alexnet,
    zfnet,
    maxout,
    nin,
    deepface,
    vgg,
    googlenet,
    inception_v3,
    inception_v4,
    inception_resnet,
    resnet,
    resnet_cifar,
    densenet,
    rnn_classifier,
    autoencoder_mlp,
    autoencoder_conv,
    unet,
    dncnn,
    dcgan,
    bagan,
    rcnn,
    fast_rcnn,
    faster_rcnn,
    crnn,
    seq2seq,
    show_and_tell,
    show_attend_and_tell,
)
ARCHITECTURES = {name: model for paper in PAPERS for name, model in paper.MODELS.items()}
CLAIMS = {name: claim for paper in PAPERS for name, claim in paper.CLAIMS.items()}


def create(name: str, **options: Any) -> nn.Module:
    """Builds a model by name.

    >>> create("resnet20", num_classes=100, shortcut="B")

    What a variant fixes (the depth of resnet20) is not an option: another depth is another name.

    Args:
      name: a key of ARCHITECTURES, or "package.module:attribute" for a class or function of the user's own, which this
        call allows.
      **options: its keyword arguments. None is a value like any other.
    Returns:
      A Linen module.
    Raises:
      ValueError: the name, the module, its attribute or an option is unknown; the message names the nearest.
    """
    trust.allow(name)
    return create_allowed(name, **options)


def create_allowed(name: str, **options: Any) -> nn.Module:
    """`create` for a name that stands in a config, which may come from a file: the user must have allowed it before."""
    constructor = trust.resolve(name, ARCHITECTURES, kind="architecture")
    fixed = constructor.keywords if isinstance(constructor, functools.partial) else ()
    trust.check_options(name, constructor, options, without={"parent", "name", *fixed})  # Linen's own two
    return constructor(**options)
