"""Values of config keys as studies and searches give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jaxcnn.errors import InputError
from jaxcnn.training.config import OPTIONS, flatten, is_option, section_of

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def set_value(config: ConfigDict, key: str, value: Any, *, where: str) -> None:
    """Sets a key of a config; an option, as of the architecture, may be new.

    Raises:
      InputError: the value is of another type than the key's; the message begins with `where`.
    """
    if is_option(key):
        section = next(section for section in OPTIONS if key.startswith(f"{section}."))
        with config.unlocked():
            section_of(config, section)[key.removeprefix(f"{section}.")] = value
        return
    try:
        config.update_from_flattened_dict({key: value})
    except (TypeError, ValueError) as error:
        own = flatten(config)[key]
        raise InputError(
            f"{where}: {value!r} is no value of {key}, which is {own!r} here: it takes {type(own).__name__}, "
            f"not {type(value).__name__}."
        ) from error
