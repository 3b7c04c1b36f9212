"""How each primitive carries receptive fields from its operands to its results.

A primitive that is not listed may move values anywhere: its result sees everything that its operands see.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from jaxcnn.analysis.field import View, collapse, flat, reshape, slide, spread, union

# One value from the values at the same position.
ELEMENTWISE_NAMES = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i1e bitcast_convert_type cbrt ceil clamp conj
    convert_element_type copy copy_p cos cosh device_put digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt
    imag integer_pow is_finite le lgamma log log1p logistic lt max min mul name ne neg nextafter not
    optimization_barrier or pcast population_count pow pvary real reduce_precision rem round rsqrt select_n
    shift_left shift_right_arithmetic shift_right_logical sharding_constraint sign sin sinh sqrt square
    stop_gradient sub tan tanh xor
"""
ELEMENTWISE = frozenset(ELEMENTWISE_NAMES.split())


def propagate(
    name: str,
    views: Sequence[View | None],
    inputs: Sequence[Sequence[int]],
    outputs: Sequence[Sequence[int]],
    params: Mapping[str, Any],
) -> list[View]:
    """Views of the results of an equation.

    Args:
      name: of the primitive.
      views: of the operands, None for one that does not depend on the image.
      inputs, outputs: shapes.
      params: of the primitive.
    Returns:
      A list of views, one for each result.
    """
    seen = [v for v in views if v is not None]
    if name in ELEMENTWISE:
        if len(outputs) > 1:  # optimization_barrier: each result is its operand
            return [fixed(seen, shape) if v is None else v for v, shape in zip(views, outputs, strict=True)]
        shape = outputs[0]
        return [union([v if len(v.axes) == len(shape) else fixed([v], shape) for v in seen])]
    rule = RULES.get(name)
    found = rule(views, inputs, outputs, params) if rule else None
    return [fixed(seen, shape) for shape in outputs] if found is None else found


def fixed(views: Sequence[View], shape: Sequence[int]) -> View:
    """Everything that the views see, from every position of an array of this shape."""
    boxes = [View(*collapse(v)[:2], ()) for v in views]
    return View(*union(boxes)[:2], tuple(flat(n) for n in shape))


def _slid(view, windows):
    """A view under {axis: options of `slide`}."""
    for axis, options in windows.items():
        view = slide(view, axis, **options)
    return view


def _window(views, inputs, outputs, params):
    """The operators of this library: NHWC, their geometry in one `Window`."""
    window = params["window"] if "window" in params else params["pool"]
    if views[0] is None or any(v is not None for v in views[1:]):
        return None
    view = views[0]
    for a, axis in enumerate((1, 2)):
        options = {"kernel": window.kernel[a], "stride": window.stride[a], "dilation": window.dilation[a]}
        view = slide(view, axis, length=window.output[a], before=window.padding[a][0], **options)
    if len(views) > 1:  # a convolution also sums over the channels
        view = collapse(view, [3])
        view = view._replace(axes=(*view.axes[:3], flat(outputs[0][3])))
    return [view] * len(outputs)


def _channel_sum(views, inputs, outputs, params):
    reach = params["reach"]
    return [slide(views[0], 3, length=outputs[0][3], kernel=2 * reach + 1, before=reach)]


def _transposed(views, inputs, outputs, params):
    """The gradient of a convolution in its image, which is also the transposed convolution."""
    window = params["window"]
    if views[0] is None or views[1] is not None:
        return None
    view = collapse(views[0], [3])
    for a, axis in enumerate((1, 2)):
        options = {"kernel": window.kernel[a], "stride": window.stride[a], "dilation": window.dilation[a]}
        view = spread(view, axis, length=window.image[a], before=window.padding[a][0], **options)
    return [view._replace(axes=(*view.axes[:3], flat(outputs[0][3])))]


def _convolution(views, inputs, outputs, params):
    image, _, output = params["dimension_numbers"]
    if views[0] is None or views[1] is not None or params["batch_group_count"] != 1:
        return None
    if set(params["lhs_dilation"]) - {1}:
        return None
    view = collapse(views[0], [image[1]])
    axes: list[Any] = [None] * len(image)
    for i, axis in enumerate(image[2:]):
        options = {"stride": params["window_strides"][i], "dilation": params["rhs_dilation"][i]}
        kernel = inputs[1][params["dimension_numbers"][1][2 + i]]
        length = outputs[0][output[2 + i]]
        view = slide(view, axis, length=length, kernel=kernel, before=params["padding"][i][0], **options)
        axes[output[2 + i]] = view.axes[axis]
    axes[output[0]], axes[output[1]] = view.axes[image[0]], flat(outputs[0][output[1]])
    return [view._replace(axes=tuple(axes))]


def _reduce_window(views, inputs, outputs, params):
    if views[0] is None or set(params["base_dilation"]) - {1}:
        return None
    names = ("window_dimensions", "window_strides", "window_dilation", "padding")
    windows = {
        axis: {"length": length, "kernel": kernel, "stride": stride, "dilation": dilation, "before": before}
        for axis, (length, kernel, stride, dilation, (before, _)) in enumerate(
            zip(outputs[0], *(params[n] for n in names), strict=True)
        )
    }
    return [_slid(views[0], windows)]


def _product(views, inputs, outputs, params):
    """(batch axes, free axes of the left, free axes of the right)."""
    contracted, batch = params["dimension_numbers"]
    found = []
    for side, view in enumerate(views):
        if view is None:
            continue
        view = collapse(view, contracted[side])
        free = [axis for axis in range(len(inputs[side])) if axis not in (*contracted[side], *batch[side])]
        others = [n for s in (0, 1) for n in _free_lengths(inputs, contracted, batch, s) if s != side]
        own = [view.axes[axis] for axis in free]
        other = [flat(n) for n in others]
        axes = [*(view.axes[axis] for axis in batch[side]), *(own + other if side == 0 else other + own)]
        found.append(view._replace(axes=tuple(axes)))
    return [union(found)]


def _free_lengths(inputs, contracted, batch, side):
    return [n for axis, n in enumerate(inputs[side]) if axis not in (*contracted[side], *batch[side])]


def _reduce(views, inputs, outputs, params):
    gone = params["axes"]
    found = [collapse(v, gone) for v in views if v is not None]
    return [union([_without(v, gone) for v in found])] * len(outputs)


def _without(view, gone):
    return view._replace(axes=tuple(a for axis, a in enumerate(view.axes) if axis not in gone))


def _broadcast(views, inputs, outputs, params):
    if views[0] is None:
        return None
    axes = [flat(n) for n in outputs[0]]
    for axis, to in enumerate(params["broadcast_dimensions"]):
        if inputs[0][axis] == outputs[0][to]:
            axes[to] = views[0].axes[axis]
    return [views[0]._replace(axes=tuple(axes))]


def _slice(views, inputs, outputs, params):
    strides = params["strides"] or (1,) * len(outputs[0])
    parts = zip(outputs[0], params["start_indices"], strides, strict=True)
    windows = {i: {"length": n, "before": -int(at), "stride": int(s)} for i, (n, at, s) in enumerate(parts)}
    return [_slid(views[0], windows)]


def _split(views, inputs, outputs, params):
    axis, at, found = params["axis"], 0, []
    for shape in outputs:
        found.append(slide(views[0], axis, length=shape[axis], before=-at))
        at += shape[axis]
    return found


def _pad(views, inputs, outputs, params):
    config = params["padding_config"]
    if views[0] is None or views[1] is not None:
        return None
    view = views[0]
    for axis, (_, _, interior) in enumerate(config):
        if interior:  # zeros between the pixels: the steps would be fractions
            view = collapse(view, [axis])
            view = view._replace(axes=(*view.axes[:axis], flat(outputs[0][axis]), *view.axes[axis + 1 :]))
    slides = {i: {"length": n, "before": int(c[0])} for i, (n, c) in enumerate(zip(outputs[0], config, strict=True))}
    return [_slid(view, slides)]


def _concatenate(views, inputs, outputs, params):
    """Pieces that lie where they would lie in one image stay exact; others are seen together."""
    axis, at, pieces = params["dimension"], 0, []
    for view, shape in zip(views, inputs, strict=True):
        length = shape[axis]
        if view is not None and prod(shape):
            whole = outputs[0][axis]
            if any(f.steps != (0, 0) for f in view.axes[axis]):
                view = slide(view, axis, length=whole, before=at)
            else:
                view = view._replace(axes=(*view.axes[:axis], flat(whole), *view.axes[axis + 1 :]))
            pieces.append(view)
        at += length
    return [union(pieces)]


def _reverse(views, inputs, outputs, params):
    axes = params["dimensions"]
    return [_slid(views[0], {i: {"length": inputs[0][i], "before": 1 - inputs[0][i], "stride": -1} for i in axes})]


def _scan_slice(views, inputs, outputs, params):
    return [_without(collapse(views[0], [0]), (0,))]


def _stack(views, inputs, outputs, params):
    joined = union([v for v in views if v is not None])
    axes = list(joined.axes)
    axes.insert(params["axis"], flat(len(views)))
    return [joined._replace(axes=tuple(axes))]


def _unstack(views, inputs, outputs, params):
    axis = params["axis"]
    return [_without(slide(views[0], axis, length=1, before=-i), (axis,)) for i in range(len(outputs))]


def _tile(views, inputs, outputs, params):
    view = views[0]
    for axis, repeats in enumerate(params["reps"]):
        if repeats > 1:
            view = collapse(view, [axis])
            view = view._replace(axes=(*view.axes[:axis], flat(outputs[0][axis]), *view.axes[axis + 1 :]))
    return [view]


def _expand(views, inputs, outputs, params):
    axes = list(views[0].axes)
    for axis in sorted(params["dimensions"]):
        axes.insert(axis, flat(1))
    return [views[0]._replace(axes=tuple(axes))]


_REDUCTIONS = ("sum", "max", "min", "prod", "and", "or", "xor")
_POOLS = ("reduce_window", "reduce_window_sum", "reduce_window_max", "reduce_window_min")

RULES = {
    **dict.fromkeys(("conv2d", "partially_connected_conv2d", "max_pool", "window_sum"), _window),
    **dict.fromkeys(_POOLS, _reduce_window),
    **dict.fromkeys((*(f"reduce_{name}" for name in _REDUCTIONS), "argmax", "argmin"), _reduce),
    "broadcast_in_dim": _broadcast,
    "channel_sum": _channel_sum,
    "concatenate": _concatenate,
    "conv2d_input": _transposed,
    "conv_general_dilated": _convolution,
    "dot_general": _product,
    "expand_dims": _expand,
    "pad": _pad,
    "reshape": lambda views, inputs, outputs, params: [reshape(views[0], outputs[0])],
    "rev": _reverse,
    "slice": _slice,
    "split": _split,
    "squeeze": lambda views, inputs, outputs, params: [_without(views[0], params["dimensions"])],
    "stack": _stack,
    "tile": _tile,
    "transpose": lambda views, inputs, outputs, params: [
        views[0]._replace(axes=tuple(views[0].axes[axis] for axis in params["permutation"]))
    ],
    "scan_slice": _scan_slice,
    "unstack": _unstack,
}
