"""The geometry of a sliding window: what a padding means, and which sizes fit. Convolution and pooling share it."""

import numbers

PADDINGS = ("VALID", "SAME", "SAME_TORCH")


def pair(value):
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


def explicit_padding(padding, *, size, window, stride, dilation=(1, 1)):
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


def check_fits(x_shape, *, window, padding, dilation=(1, 1)):
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


def check_image(x_shape):
    """Refuses anything but a batch of images.

    Args:
      x_shape: the shape of an array.
    Raises:
      ValueError: there are not four axes.
    """
    if len(x_shape) != 4:
        raise ValueError(f"expected images (n, h, w, c), got shape {tuple(x_shape)}")
