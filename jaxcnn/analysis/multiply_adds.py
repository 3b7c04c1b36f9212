"""The multiply-adds (MACs) of one equation: those of convolutions and matrix products, and of nothing else."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

# Equations that are a convolution whatever their operands are; a product counts only by a parameter or by data.
CONVOLUTIONS = ("conv2d", "conv2d_input", "conv2d_kernel", "partially_connected_conv2d", "conv_general_dilated")


def multiply_adds(
    name: str, inputs: Sequence[Sequence[int]], outputs: Sequence[Sequence[int]], params: Mapping[str, Any]
) -> int:
    """Counts one equation: for a convolution size of the output * taps of the kernel * c_in / groups.

    Positions of the padding count like any other, unlike in XLA's own count. A convolution that dilates its input (a
    transposed one) is counted at the pixels that exist.

    Args:
      name: of the primitive.
      inputs, outputs: shapes.
      params: of the primitive; "macs" where it was counted before.
    Returns:
      int, over the whole batch; 0 for everything that is no convolution and no matrix product.
    """
    if name == "conv2d":
        return prod(outputs[0]) * prod(inputs[1][:3])
    if name == "conv2d_input":  # dy, kernel
        return prod(inputs[0]) * prod(inputs[1][:3])
    if name == "conv2d_kernel":  # x, dy -> (kh, kw, c_in / groups, c_out)
        return prod(inputs[1]) * prod(outputs[0][:3])
    if name == "partially_connected_conv2d":  # kernel (kh, kw, connections)
        return prod(outputs[0][:3]) * prod(inputs[1])
    if name == "conv_general_dilated":
        return _general(inputs, outputs, params)
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return prod(outputs[0]) * prod(inputs[0][axis] for axis in contracted)
    return params.get("macs", 0)


def _general(inputs, outputs, params):
    image, kernel, output = params["dimension_numbers"]
    taps = prod(inputs[1][axis] for axis in kernel[1:])  # window and channels of a group
    positions = prod(outputs[0][axis] for axis in output[2:])
    if set(params["lhs_dilation"]) - {1}:
        positions = prod(inputs[0][axis] for axis in image[2:])
    return outputs[0][output[0]] * outputs[0][output[1]] * positions * taps
