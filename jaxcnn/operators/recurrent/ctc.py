"""Connectionist temporal classification (Graves, Fernandez, Gomez and Schmidhuber 2006): text without places.

Class 0 of the logits is the blank. A path, one class a frame, is read by merging equal neighbours and dropping blanks.
"""

import jax
import jax.numpy as jnp
import optax


def ctc_loss(
    logits: jax.Array, labels: jax.Array, label_mask: jax.Array, *, logit_mask: jax.Array | None = None
) -> jax.Array:
    """Takes minus the logarithm of the probability of a text: the sum over all paths that read as it.

    L = -log sum_{path reads as labels} prod_t softmax(z_t)[path_t]

    It is optax's. A text needs a frame for each letter and one more between equal neighbours; one that has too few
    costs about 100,000 (optax's logarithm of 0) in place of infinity.

    Args:
      logits: (n, t, K + 1), any float type; class 0 is the blank.
      labels: (n, l), integers from 1 to K; any where the mask is 0.
      label_mask: (n, l), 1 or True where a letter is there; letters come first.
      logit_mask: (n, t), 1 or True where a frame is there; None: all are.
    Returns:
      (n,), float32.
    """
    shape = logits.shape[:2]
    absent = jnp.zeros(shape) if logit_mask is None else 1 - logit_mask.astype(jnp.float32)
    return optax.ctc_loss(logits.astype(jnp.float32), absent, labels, 1 - label_mask.astype(jnp.float32), blank_id=0)


def ctc_greedy(logits: jax.Array, *, logit_mask: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
    """Reads the best path: the largest class of each frame, equal neighbours merged, blanks dropped.

    Args:
      logits: (n, t, K + 1), class 0 the blank.
      logit_mask: (n, t), 1 or True where a frame is there; None: all are.
    Returns:
      (labels (n, t) int32 from 1 to K, letters first and then 0; lengths (n,) int32).
    """
    path = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    path = path if logit_mask is None else jnp.where(logit_mask > 0, path, 0)
    before = jnp.pad(path[:, :-1], ((0, 0), (1, 0)))
    kept = (path != 0) & (path != before)
    order = jnp.argsort(~kept, axis=1, stable=True)
    lengths = kept.sum(axis=1).astype(jnp.int32)
    return jnp.take_along_axis(jnp.where(kept, path, 0), order, axis=1), lengths
