"""The arithmetic of a layer: its output size, its parameters and its multiply-adds (MACs), in plain numbers."""

from collections.abc import Sequence
from math import prod


def _sides(padding):
    return tuple(padding) if hasattr(padding, "__len__") else (padding, padding)


def output_size(
    size: int,
    *,
    kernel: int,
    stride: int = 1,
    padding: int | Sequence[int] = 0,
    dilation: int = 1,
    ceil: bool = False,
    exact: bool = False,
) -> int:
    """Counts the positions of a window along one axis.

    output = (size - reach + before + after) / stride + 1, where reach = dilation * (kernel - 1) + 1

    A quotient that is not whole is rounded down, as every convolution does, so the last pixels are seen by no window;
    ceil rounds up, as Caffe's poolings do (and torch's ceil_mode), but leaves out a window that would start behind the
    image: 112 pixels, 3 wide at stride 2, give 55 or 56.

    Args:
      size: int, the pixels along the axis.
      kernel, stride, dilation: int.
      padding: int, or (before, after).
      ceil: rounds up.
      exact: refuses a quotient that is not whole, see `fitting_padding`.
    Returns:
      int, at least 1; of no array, so it has no shape.
    Raises:
      ValueError: there is no position, or exact and stride does not divide.
    """
    before, after = _sides(padding)
    free = size + before + after - dilation * (kernel - 1) - 1
    if exact and free % stride:
        nearest = fitting_padding(size, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
        raise ValueError(
            f"{size} pixels with padding {before} + {after} less a reach of {dilation * (kernel - 1) + 1} are {free}, "
            f"not a multiple of the stride {stride}; the nearest fitting padding is {nearest}"
        )
    steps = min(-(-free // stride), (size + before - 1) // stride) if ceil else free // stride
    if steps < 0:
        raise ValueError(f"a window of {kernel} (dilation {dilation}) is larger than {size} pixels, padding {padding}")
    return steps + 1


def fitting_padding(
    size: int, *, kernel: int, stride: int = 1, padding: int | Sequence[int] = 0, dilation: int = 1
) -> tuple[int, int]:
    """Finds the padding nearest to a given one under which the stride divides, so that every pixel is seen.

    Args:
      size: int, the pixels along the axis.
      kernel, stride, dilation: int.
      padding: int, or (before, after).
    Returns:
      (before, after), the odd pixel after; of two totals equally near, the smaller. It has no shape.
    """
    wanted, lack = sum(_sides(padding)), dilation * (kernel - 1) + 1 - size
    totals = [t for t in range(max(lack, 0), max(lack, wanted) + stride + 1) if (t - lack) % stride == 0]
    total = min(totals, key=lambda t: abs(t - wanted))
    return total // 2, total - total // 2


def conv_parameters(
    *, kernel_size: Sequence[int], c_in: int, c_out: int, groups: int = 1, use_bias: bool = True
) -> int:
    """Counts the parameters of a convolution: kh * kw * (c_in / groups) * c_out, and c_out biases.

    Args:
      kernel_size: (vertical, horizontal).
      c_in, c_out, groups: int; groups = c_in is a depthwise convolution.
      use_bias: whether there is one.
    Returns:
      int; the kernel's shape is (kh, kw, c_in / groups, c_out).
    """
    return prod(kernel_size) * (c_in // groups) * c_out + use_bias * c_out


def conv_macs(*, output: Sequence[int], kernel_size: Sequence[int], c_in: int, c_out: int, groups: int = 1) -> int:
    """Counts the multiply-adds of a convolution of one image: its weights, once for each position of the output.

    Additions of a bias are not counted, nor are products with padding left out.

    Args:
      output: (h', w'), the size of the output.
      kernel_size: (vertical, horizontal).
      c_in, c_out, groups: int.
    Returns:
      int; the output's shape is (h', w', c_out).
    """
    weights = conv_parameters(kernel_size=kernel_size, c_in=c_in, c_out=c_out, groups=groups, use_bias=False)
    return prod(output) * weights


def dense_parameters(*, inputs: int, outputs: int, use_bias: bool = True) -> int:
    """Counts the parameters of a full connection: inputs * outputs, and one bias for each output.

    Args:
      inputs, outputs: int.
      use_bias: whether there is one.
    Returns:
      int; the kernel's shape is (inputs, outputs).
    """
    return inputs * outputs + use_bias * outputs


def dense_macs(*, inputs: int, outputs: int) -> int:
    """Counts the multiply-adds of a full connection for one image: one for each weight.

    Args:
      inputs, outputs: int.
    Returns:
      int; the kernel's shape is (inputs, outputs).
    """
    return inputs * outputs
