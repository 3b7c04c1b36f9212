"""The convolutions of a stage of an Inception network, in the order of its table."""

from typing import Any

from jaxcnn.architectures.conv_norm import read_layer


def convolutions(stage: Any) -> list[Any]:
    """(path of the ConvNorm in its block, branch, place in the branch, ...) of every convolution of a block.

    Args:
      stage: a tuple of branches, see `jaxcnn.architectures.conv_norm`.
    Returns:
      [("Branch_1/Conv2d_0b_5x5", (1, 1)), ...]: the path and the place, (branch, layer) or (branch, layer, part) where
      the convolutions of a branch fan out.
    """
    found = []
    for number, layers in enumerate(stage):
        grid = operation = 0
        for place, layer in enumerate(layers):
            if not isinstance(layer, str):
                fan = not isinstance(layer[0], int)
                for i, part in enumerate(layer if fan else (layer,)):
                    _, kernel, stride, padding = read_layer(part)
                    if not fan and (stride > 1 or (max(kernel) > 1 and padding == 0)):
                        grid, operation = grid + 1, 0
                    name = f"Conv2d_{grid}{'abcdefg'[operation + i]}_{kernel[0]}x{kernel[1]}"
                    found.append((f"Branch_{number}/{name}", (number, place, i) if fan else (number, place)))
            operation += 1
    return found
