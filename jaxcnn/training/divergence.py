"""Noticing that training has diverged, and saying at which step and why."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcnn.errors import InputError
from jaxcnn.training.step import DIVISOR


class Diverged(InputError):
    """The loss, the gradient or a parameter stopped being a finite number."""


def divergence(rows: Mapping[str, Any], step: int) -> tuple[int, str] | None:
    """Looks for the first step whose loss, gradient or parameters are not finite.

    Args:
      rows: {metric: (steps,)} of the last steps, losses as sums over the images seen; of a game PLAYER/loss and so on.
      step: the step that the last row belongs to.
    Returns:
      None where all are finite, else (step, text: the numbers there, one step before, and the likely cause).
    """
    watched = [name for name in rows if name.rpartition("/")[2] in ("loss", "gradient_norm", "parameter_norm")]
    finite = np.all([np.isfinite(rows[name]) for name in watched], axis=0)
    if finite.all():
        return None
    at = int(np.argmin(finite))
    first = step - len(finite) + at + 1
    player = next(name for name in watched if not np.isfinite(rows[name][at])).rpartition("/")[0]
    prefix = f"{player}/" if player or "loss" not in rows else ""
    if prefix + "loss" not in rows:  # the norm of a game's parameters, which are all players'
        prefix = next(name for name in watched if name.endswith("/loss")).removesuffix("loss")

    def said(at):
        loss = rows[prefix + "loss"][at] / (float(rows.get(prefix + "loss" + DIVISOR, rows["seen"])[at]) or 1.0)
        return f"{loss:.4g}", f"{rows[prefix + 'gradient_norm'][at]:.4g}"

    loss, gradient = said(at)
    who = f" of {prefix[:-1]}" if prefix else ""
    text = (
        f"training diverged at step {first}: loss{who} {loss}, gradient norm {gradient}, parameter norm "
        f"{rows['parameter_norm'][at]:.4g}"
    )
    if at:
        loss, gradient = said(at - 1)
        text += f"; one step before the loss was {loss}, the gradient norm {gradient}"
    return first, (
        f"{text}. Likely cause: the learning rate, {rows['learning_rate'][at]:g}, is too high for this network; lower "
        "config.optimizer.learning_rate, add a warm-up (config.schedule.warmup) or clip the gradient "
        "(config.optimizer.clip=1.0)."
    )
