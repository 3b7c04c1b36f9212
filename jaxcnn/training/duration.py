"""Durations as a config writes them: "64000 steps", "30 epochs", or "50%" of a run."""

import re

from jaxcnn.errors import InputError

DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(steps?|epochs?|%)\s*$")


def duration_in_steps(text: str, *, key: str, steps_per_epoch: float, total: int) -> int:
    """Steps of "64000 steps", "30 epochs" or "50%".

    Args:
      text: the duration.
      key: the config key it comes from, for the error.
      steps_per_epoch: records of an epoch over the batch size, a float.
      total: steps of the whole run, for "%".
    Returns:
      int, rounded to the nearest step.
    Raises:
      InputError: the text is not a duration.
    """
    number, unit = parse_duration(text, key)
    return round(number * {"steps": 1, "epochs": steps_per_epoch, "%": total / 100}[unit])


def parse_duration(text: str, key: str) -> tuple[float, str]:
    """(30.0, "epochs") of "30 epochs"; the unit is steps, epochs or %.

    Args:
      text: the duration.
      key: the config key it comes from, for the error.
    Raises:
      InputError: the text is not a duration.
    """
    match = DURATION.match(text) if isinstance(text, str) else None
    if not match:
        raise InputError(f"config.{key} is '{text}'; a duration is written '64000 steps', '30 epochs' or '50%'.")
    number, unit = float(match[1]), match[2]
    if unit.startswith("step") and number != int(number):
        raise InputError(f"config.{key} is '{text}'; a number of steps is whole.")
    if unit == "%" and number > 100:
        raise InputError(f"config.{key} is '{text}'; a share of the run is from 0% to 100%.")
    return number, unit if unit.endswith(("s", "%")) else f"{unit}s"
