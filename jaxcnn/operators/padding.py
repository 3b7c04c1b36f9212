"""The geometry of a sliding window: what a padding means, and which sizes fit. Convolution and pooling share it."""

import numbers
from collections.abc import Sequence
from typing import Any

from jaxcnn.operators.geometry import fitting_padding, output_size

# What a padding is written as: an int, (vertical, horizontal), ((top, bottom), (left, right)), or one of PADDINGS.
Padding = int | str | Sequence[int] | Sequence[Sequence[int]]
PADDINGS = ("VALID", "SAME", "SAME_TORCH")


def pair(value: Any) -> tuple[Any, ...]:
    """Reads one number as (vertical, horizontal).

    Args:
      value: int, or (vertical, horizontal).
    Returns:
      tuple of two int.
    Raises:
      ValueError: neither an int nor two values.
    """
    if isinstance(value, numbers.Integral):
        return (value, value)
    if not hasattr(value, "__len__") or len(value) != 2:
        raise ValueError(f"expected an int or (vertical, horizontal), got {value}")
    return tuple(value)


def explicit_padding(
    padding: Padding,
    *,
    size: Sequence[int],
    window: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int] = (1, 1),
) -> tuple[tuple[int, int], ...]:
    """Turns every way to write a padding into ((top, bottom), (left, right)).

    "VALID": none. "SAME" is TensorFlow's and Flax's: the output has ceil(size / stride) pixels and an odd total puts
    the extra pixel at the end, so 3x3 at stride 2 pads an even side (0, 1). "SAME_TORCH" is what PyTorch code writes
    as padding=kernel // 2: dilation * (window // 2) on both sides whatever the stride, so the same layer pads (1, 1)
    and sees an image shifted by a pixel; an even window at stride 1 adds a pixel.

    Args:
      padding: int, (vertical, horizontal), ((top, bottom), (left, right)), or one of PADDINGS.
      size, window, stride, dilation: (vertical, horizontal), of the input and of the window.
    Returns:
      ((top, bottom), (left, right)), int.
    Raises:
      ValueError: the padding is none of these, or negative.
    """
    if isinstance(padding, str):
        return tuple(_named_padding(padding, *axis) for axis in zip(size, window, stride, dilation, strict=True))
    sides = tuple(tuple(side) if hasattr(side, "__len__") else (side, side) for side in pair(padding))
    if any(len(side) != 2 or min(side) < 0 for side in sides):
        raise ValueError(
            f"padding must be an int, (vertical, horizontal) or ((top, bottom), (left, right)), none negative, or one "
            f"of {', '.join(PADDINGS)}; got {padding!r}"
        )
    return sides


def _named_padding(padding, size, window, stride, dilation):
    if padding == "VALID":
        return (0, 0)
    if padding == "SAME_TORCH":
        return (dilation * (window // 2),) * 2
    if padding == "SAME":
        reach = dilation * (window - 1) + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        return (total // 2, total - total // 2)
    raise ValueError(f"unknown padding {padding!r}; known: {', '.join(PADDINGS)}")


def check_fits(
    x_shape: Sequence[int],
    *,
    window: Sequence[int],
    padding: tuple[tuple[int, int], ...],
    dilation: Sequence[int] = (1, 1),
) -> None:
    """Refuses a window that reaches beyond the padded image.

    Args:
      x_shape: (n, h, w, c).
      window, dilation: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
    Raises:
      ValueError: the window is larger than the padded image on either axis.
    """
    for size, reach, spread, sides in zip(x_shape[1:3], window, dilation, padding, strict=True):
        if spread * (reach - 1) + 1 > size + sum(sides):
            raise ValueError(
                f"a window of {window} (dilation {dilation}) is larger than the image: input {tuple(x_shape)}, "
                f"padding {padding}"
            )


def check_exact(
    x_shape: Sequence[int],
    *,
    window: Sequence[int],
    stride: Sequence[int],
    padding: tuple[tuple[int, int], ...],
    dilation: Sequence[int] = (1, 1),
) -> None:
    """Refuses a stride that does not divide (size - reach + padding), where a window would leave out the last pixels.

    Args:
      x_shape: (n, h, w, c).
      window, stride, dilation: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
    Raises:
      ValueError: it does not divide on either axis; the message has the nearest padding that fits.
    """
    axes = tuple(zip(x_shape[1:3], window, stride, padding, dilation, strict=True))
    free = [size + sum(sides) - spread * (reach - 1) - 1 for size, reach, _, sides, spread in axes]
    if any(rest % step for rest, step in zip(free, stride, strict=True)):
        nearest = tuple(
            fitting_padding(size, kernel=reach, stride=step, padding=sides, dilation=spread)
            for size, reach, step, sides, spread in axes
        )
        raise ValueError(
            f"a window of {tuple(window)} at stride {tuple(stride)} (dilation {tuple(dilation)}) does not fit input "
            f"{tuple(x_shape)} with padding {padding}: size - reach + padding is {tuple(free)}, not a multiple of the "
            f"stride; the nearest fitting padding is {nearest}"
        )


def ceil_padding(
    x_shape: Sequence[int], *, window: Sequence[int], stride: Sequence[int], padding: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...]:
    """Widens a padding at its end so that the windows that `output_size` counts under ceil all fit.

    Args:
      x_shape: (n, h, w, c).
      window, stride: (vertical, horizontal).
      padding: ((top, bottom), (left, right)).
    Returns:
      ((top, bottom), (left, right)); less at the end where the last windows would have started in that padding.
    Raises:
      ValueError: there is no window.
    """
    widened = []
    for size, reach, step, (before, after) in zip(x_shape[1:3], window, stride, padding, strict=True):
        windows = output_size(size, kernel=reach, stride=step, padding=(before, after), ceil=True)
        widened.append((before, max((windows - 1) * step + reach - size - before, 0)))
    return tuple(widened)


def check_image(x_shape: Sequence[int]) -> None:
    """Refuses anything but a batch of images.

    Args:
      x_shape: the shape of an array.
    Raises:
      ValueError: there are not four axes.
    """
    if len(x_shape) != 4:
        raise ValueError(f"expected images (n, h, w, c), got shape {tuple(x_shape)}")
