"""Losses of one image each, (n,) float32: the mean over a batch, and its mask, belong to the step."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax


def _wide(logits, targets):
    if logits.ndim != 2 or logits.shape != targets.shape:
        raise ValueError(f"expected logits and targets of one shape (n, K), got {logits.shape} and {targets.shape}")
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    return logits.astype(dtype), targets.astype(dtype)


def softmax_cross_entropy(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Takes the cross-entropy between target probabilities and the softmax of the logits.

    L = -sum_k t_k * log(exp(z_k) / sum_j exp(z_j))

    Args:
      logits: (n, K), any float type; computed in float32 at least.
      targets: (n, K), probabilities: one-hot labels, smoothed or mixed.
    Returns:
      (n,), float32 (float64 for float64).
    Raises:
      ValueError: the shapes differ or are not (n, K).
    """
    logits, targets = _wide(logits, targets)
    return -jnp.sum(targets * jax.nn.log_softmax(logits, axis=-1), axis=-1)


def smooth_labels(targets: jax.Array, *, smoothing: float | jax.Array) -> jax.Array:
    """Gives a share of each target to all classes alike.

    t'_k = (1 - e) * t_k + e / K   (Szegedy et al. 2015, arXiv:1512.00567, section 7)

    The correct class keeps 1 - e + e / K, not 1 - e.

    Args:
      targets: (n, K), probabilities, any float type.
      smoothing: e, a number or a traced scalar, from 0 to 1.
    Returns:
      (n, K), the dtype of targets.
    """
    smoothing = jnp.asarray(smoothing, targets.dtype)
    return (1 - smoothing) * targets + smoothing / targets.shape[-1]


def squared_error(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Takes the squared distance between outputs and targets.

    L = sum_k (z_k - t_k)**2, the sum over the classes, without a factor of one half

    Args:
      logits: (n, K), any float type; computed in float32 at least.
      targets: (n, K).
    Returns:
      (n,), float32 (float64 for float64).
    Raises:
      ValueError: the shapes differ or are not (n, K).
    """
    logits, targets = _wide(logits, targets)
    return jnp.sum(jnp.square(logits - targets), axis=-1)


def rbf_loss(logits: jax.Array, targets: jax.Array, *, rejection: float | jax.Array = 1.0) -> jax.Array:
    """LeNet-5's discriminative criterion over the penalties y of its RBF units; logits are -y.

    L = sum_k t_k * y_k + log(exp(-j) + sum_i exp(-y_i))   (LeCun et al. 1998, eq. 9, where t is one-hot)

    The first term pulls the penalty of the correct class down, the second pushes the others up, those above j least:
    exp(-j) stands for a rubbish class. The paper says only that j is positive; 1 is our choice.

    Args:
      logits: (n, K), minus the penalties, any float type; computed in float32 at least.
      targets: (n, K), probabilities.
      rejection: j, a number or a traced scalar.
    Returns:
      (n,), float32 (float64 for float64); at least log(1 + exp(y_c - j)) for one-hot t, so positive.
    Raises:
      ValueError: the shapes differ or are not (n, K).
    """
    logits, targets = _wide(logits, targets)
    rubbish = jnp.full_like(logits[:, :1], -jnp.asarray(rejection, logits.dtype))
    competition = jax.nn.logsumexp(jnp.concatenate([rubbish, logits], axis=-1), axis=-1)
    return competition - jnp.sum(targets * logits, axis=-1)


def focal(logits: jax.Array, targets: jax.Array, *, gamma: float | jax.Array = 2.0) -> jax.Array:
    """Weighs the cross-entropy down where a class is predicted well already (Lin et al. 2017, arXiv:1708.02002, eq. 4).

    L = -sum_k t_k * (1 - p_k)**gamma * log p_k,   p = softmax(z)

    The paper's p is of one sigmoid a class, and its alpha balances foreground and background; here classes exclude each
    other. gamma = 0 is softmax_cross_entropy; 2 is the paper's best.

    Args:
      logits: (n, K), any float type; computed in float32 at least.
      targets: (n, K), probabilities.
      gamma: a number or a traced scalar, from 0.
    Returns:
      (n,), float32 (float64 for float64).
    Raises:
      ValueError: the shapes differ or are not (n, K), or gamma is negative.
    """
    if isinstance(gamma, (int, float)) and gamma < 0:
        raise ValueError(f"gamma must be 0 or more, got {gamma}")
    logits, targets = _wide(logits, targets)
    log_p = jax.nn.log_softmax(logits, axis=-1)
    # of a sure class 1 - p is 0, where a root has no derivative
    left = jnp.maximum(-jnp.expm1(log_p), jnp.finfo(logits.dtype).tiny)
    return -jnp.sum(targets * left ** jnp.asarray(gamma, logits.dtype) * log_p, axis=-1)


def distillation(
    logits: jax.Array,
    teacher_logits: jax.Array,
    *,
    temperature: float | jax.Array = 2.0,
    squared_temperature: bool = True,
) -> jax.Array:
    """Takes the cross-entropy of a network against another one's softened outputs (Hinton et al. 2015, eq. 1).

    L = -T**2 * sum_k softmax(v / T)_k * log softmax(z / T)_k, v of the teacher

    The gradient of the softened cross-entropy shrinks with 1 / T**2; Hinton et al. (arXiv:1503.02531, section 2) give
    that back by the factor where hard targets are learned beside. Learning without forgetting (Li and Hoiem 2016,
    arXiv:1606.09282, eq. 2) has T = 2 and no factor: squared_temperature=False. Its recorded probabilities p, raised
    to 1 / T, are teacher_logits = log p. No gradient flows to the teacher; the least loss is its entropy, not 0.

    Args:
      logits: (n, K), of the student, any float type; computed in float32 at least.
      teacher_logits: (n, K), of the teacher.
      temperature: T, a number or a traced scalar.
      squared_temperature: whether the factor T**2 is there.
    Returns:
      (n,), float32 (float64 for float64).
    Raises:
      ValueError: the shapes differ or are not (n, K), or temperature is not positive.
    """
    if isinstance(temperature, (int, float)) and temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    logits, teacher_logits = _wide(logits, lax.stop_gradient(teacher_logits))
    temperature = jnp.asarray(temperature, logits.dtype)
    loss = softmax_cross_entropy(logits / temperature, jax.nn.softmax(teacher_logits / temperature, axis=-1))
    return jnp.square(temperature) * loss if squared_temperature else loss


def multi_head(
    heads: Sequence[jax.Array],
    targets: jax.Array,
    *,
    weights: Sequence[float | jax.Array],
    loss: Callable[[jax.Array, jax.Array], jax.Array] = softmax_cross_entropy,
) -> jax.Array:
    """Adds up the losses of several outputs of one network (Szegedy et al. 2014, arXiv:1409.4842, section 5).

    L = sum_h weights_h * loss(logits_h, targets)

    GoogLeNet's heads are the output and two auxiliary ones: weights (1, 0.3, 0.3).

    Args:
      heads: sequence of logits, (n, K) each.
      targets: (n, K), probabilities.
      weights: sequence of numbers or traced scalars, one for each head.
      loss: a function from (n, K) and (n, K) to (n,).
    Returns:
      (n,), float32 (float64 for float64).
    Raises:
      ValueError: there are not as many weights as heads, or none.
    """
    if len(heads) != len(weights) or not len(heads):
        raise ValueError(f"expected one weight for each head, got {len(heads)} heads and {len(weights)} weights")
    losses = (weight * loss(logits, targets) for logits, weight in zip(heads, weights, strict=True))
    return sum(losses)  # ty: ignore[invalid-explicit-return]  of one head at least, so not the int 0


LOSSES = {
    "focal": focal,
    "rbf_loss": rbf_loss,
    "softmax_cross_entropy": softmax_cross_entropy,
    "squared_error": squared_error,
}
