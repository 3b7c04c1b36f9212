"""Architectures by name: a Linen module each, `model.apply(variables, x, train=...)` -> (logits, features)."""

import functools
import inspect

from jaxcnn.architectures import convnet, lenet, resnet_cifar
from jaxcnn.architectures.claim import Claim
from jaxcnn.errors import import_attribute, look_up, nearest

__all__ = ["ARCHITECTURES", "CLAIMS", "Claim", "create"]

ARCHITECTURES = {
    "convnet": convnet.ConvNet,
    "lenet5": lenet.LeNet5,
    "lenet5_common": lenet.LeNet5Common,
    **{name: functools.partial(resnet_cifar.ResNetCIFAR, **variant) for name, variant in resnet_cifar.VARIANTS.items()},
}

CLAIMS = {**convnet.CLAIMS, **lenet.CLAIMS, **resnet_cifar.CLAIMS}


def create(name, **options):
    """Builds a model by name.

    >>> create("resnet20", num_classes=100, shortcut="B")

    What a variant fixes (the depth of resnet20) is not an option: another depth is another name.

    Args:
      name: a key of ARCHITECTURES, or "package.module:attribute" for a class or function of the user's own.
      **options: its keyword arguments. None is a value like any other.
    Returns:
      A Linen module.
    Raises:
      ValueError: the name, the module, its attribute or an option is unknown; the message names the nearest.
    """
    constructor = (
        import_attribute(name, kind="architecture")
        if ":" in name
        else look_up(name, table=ARCHITECTURES, kind="architecture")
    )
    known = _options(constructor)
    for option in options:
        if known is not None and option not in known:
            raise ValueError(f"{name} takes no option {option!r}; {nearest(option, known)}")
    return constructor(**options)


def _options(constructor):
    """The names of the keyword arguments that a constructor leaves open; None where it takes any."""
    fixed = set(constructor.keywords) if isinstance(constructor, functools.partial) else set()
    parameters = inspect.signature(constructor).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {parameter.name for parameter in parameters} - fixed - {"parent", "name"}  # Linen's own two
