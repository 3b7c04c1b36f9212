"""Noticing that training has diverged, and saying at which step and why."""

import numpy as np

from jaxcnn.errors import InputError


class Diverged(InputError):
    """The loss, the gradient or a parameter stopped being a finite number."""


def divergence(rows, step):
    """Looks for the first step whose loss, gradient or parameters are not finite.

    Args:
      rows: {metric: (steps,)} of the last steps, loss as a sum over the images seen.
      step: the step that the last row belongs to.
    Returns:
      None where all are finite, else (step, text: the numbers there, one step before, and the likely cause).
    """
    finite = np.isfinite(rows["loss"]) & np.isfinite(rows["gradient_norm"]) & np.isfinite(rows["parameter_norm"])
    if finite.all():
        return None
    at = int(np.argmin(finite))
    first = step - len(finite) + at + 1
    batch = max(float(rows["seen"][at]), 1.0)
    text = (
        f"training diverged at step {first}: loss {rows['loss'][at] / batch:.4g}, gradient norm "
        f"{rows['gradient_norm'][at]:.4g}, parameter norm {rows['parameter_norm'][at]:.4g}"
    )
    if at:
        text += (
            f"; one step before the loss was {rows['loss'][at - 1] / batch:.4g}, the gradient norm "
            f"{rows['gradient_norm'][at - 1]:.4g}"
        )
    return first, (
        f"{text}. Likely cause: the learning rate, {rows['learning_rate'][at]:g}, is too high for this network; lower "
        "config.optimizer.learning_rate, add a warm-up (config.schedule.warmup) or clip the gradient "
        "(config.optimizer.clip=1.0)."
    )
