"""The picture of a learning-rate range test: loss by rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcnn.visualize.figure import HELD_OUT, PALETTE, QUIET, TRAIN, literal, new_figure, plain_axes, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ROOM = 0.3  # above and below the losses up to the lowest, of their range; a diverged loss would flatten all else


def draw_rate_test(found: Any, *, title: str = "", path: str | os.PathLike[str] | None = None) -> Figure:
    """Draws the training loss of every step and its average by the learning rate, and the rates that it suggests.

    Args:
      found: a RateTest.
      title: the network, the data and so on.
      path: where to write the figure too.
    Returns:
      A matplotlib Figure. The gid of the lines is "loss", "smooth", "steepest" and "tenth".
    """
    figure = new_figure(8.4, 4.8)
    axes = figure.subplots()
    axes.plot(found.rates, found.losses, color=QUIET, alpha=0.6, linewidth=1, label="loss of a step", gid="loss")
    axes.plot(found.rates, found.smooth, color=TRAIN, linewidth=2, label="smoothed", gid="smooth")
    for name, words, look in (
        ("steepest", "steepest descent", {"color": HELD_OUT}),
        ("tenth", "minimum / 10", {"color": PALETTE[2], "linestyle": "--"}),
    ):
        if (rate := getattr(found, name)) is not None:
            axes.axvline(rate, label=f"{words}: {rate:.2g}", gid=name, **look)
    axes.set_xscale("log")
    falling = found.smooth[: found.smooth.argmin() + 1]
    room = max(ROOM * np.ptp(falling), 1e-6)
    axes.set_ylim(falling.min() - room, falling.max() + room)
    plain_axes(axes, title=literal(title, limit=90), xlabel="learning rate", ylabel="training loss")
    axes.legend(fontsize=9, framealpha=0.85, edgecolor="none")
    if path is not None:
        save_figure(figure, path)
    return figure


def rate_words(found: Any) -> Iterator[str]:
    """Sentences on a RateTest: what was tried, and the rates that it suggests."""
    tried = f"{len(found.rates)} steps at rates from {found.rates[0]:.2g} to {found.rates[-1]:.2g}"
    yield f"{tried}, where the loss diverged." if found.diverged else f"{tried}; the loss did not diverge."
    if found.steepest is None:
        yield "The loss fell at none of them: no rate is suggested."
        return
    yield (
        f"config.optimizer.learning_rate: {found.steepest:.2g}, where the smoothed loss falls fastest; "
        f"{found.tenth:.2g} is a tenth of the rate at which it is lowest."
    )
