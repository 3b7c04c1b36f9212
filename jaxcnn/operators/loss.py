"""Losses of one image each, (n,) float32: the mean over a batch, and its mask, belong to the step."""

import jax
import jax.numpy as jnp


def _wide(logits, targets):
    if logits.ndim != 2 or logits.shape != targets.shape:
        raise ValueError(f"expected logits and targets of one shape (n, K), got {logits.shape} and {targets.shape}")
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    return logits.astype(dtype), targets.astype(dtype)


def softmax_cross_entropy(logits, targets):
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


def smooth_labels(targets, *, smoothing):
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


def squared_error(logits, targets):
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


def rbf_loss(logits, targets, *, rejection=1.0):
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


LOSSES = {
    "rbf_loss": rbf_loss,
    "softmax_cross_entropy": softmax_cross_entropy,
    "squared_error": squared_error,
}
