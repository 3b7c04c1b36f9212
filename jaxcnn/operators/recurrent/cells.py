"""Recurrent layers: Flax's cells over the steps of padded sequences."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxcnn.errors import look_up


def _identity(key, shape, dtype=jnp.float32):
    return jnp.eye(*shape, dtype=dtype)


CELLS = {
    "rnn": nn.SimpleCell,  # h' = tanh(W x + b + U h), U orthogonal at first
    # Le, Jaitly and Hinton 2015 (arXiv:1504.00941): at first a unit adds up what it gets
    "irnn": functools.partial(nn.SimpleCell, activation_fn=nn.relu, recurrent_kernel_init=_identity),
    "lstm": nn.OptimizedLSTMCell,
    "gru": nn.GRUCell,
}


def _cell(name, forget_bias, *, initializing):
    """The class of a cell; of an LSTM whose forget gate gets a number more than its parameter says."""
    found = look_up(name, table=CELLS, kind="cell")
    if forget_bias and name != "lstm":
        raise ValueError(f"forget_bias is {forget_bias}, but cell '{name}' has no forget gate: 'lstm' has one")
    if not forget_bias or initializing:  # the parameters are those of the cell
        return found

    def more(variables):
        gate = variables["params"]["hf"]
        return {"params": {**variables["params"], "hf": {**gate, "bias": gate["bias"] + forget_bias}}}

    return nn.map_variables(found, "params", more)


def there(lengths: jax.Array, *, steps: int) -> jax.Array:
    """Whether a step of a padded sequence is there.

    Args:
      lengths: (n,), integers: the steps of each sequence.
      steps: t, an int.
    Returns:
      (n, t) bool.
    """
    return jnp.arange(steps)[None] < lengths[:, None]


class Recurrent(nn.Module):
    """A recurrent layer: called with x (n, t, c) and lengths (n,), it returns (outputs (n, t, features), last state).

    The state is a pair (memory, output) of (n, features) for an LSTM (Hochreiter and Schmidhuber 1997, with the forget
    gate of Gers et al. 2000), and (n, features) for others. It begins with zeros, or with `initial`. The last state is
    the one behind the last step that is there (behind the first, where it runs in reverse). Lengths are 1 or more; None
    takes all steps. Parameters are those of the cell, under "cell".

    Attributes:
      features: width of the state.
      cell: "rnn", "irnn", "lstm" or "gru", a key of CELLS.
      reverse: whether it runs from the last step that is there to the first; the outputs keep their places.
      forget_bias: of an LSTM: added to the bias of the forget gate, which begins with 0. With 0 the memory halves in a
        step, with 3 it lasts for 20 steps (Gers et al. 2000; Jozefowicz et al. 2015 have 1).
      dtype: what it computes in, the state included; None promotes the dtypes of the input and the parameters.
    """

    features: int
    cell: str = "lstm"
    reverse: bool = False
    forget_bias: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, lengths: jax.Array | None = None, initial: Any = None) -> tuple[jax.Array, Any]:
        make = _cell(self.cell, self.forget_bias, initializing=self.is_initializing())
        cell = make(self.features, dtype=self.dtype, name="cell")
        if initial is None:
            initial = cell.initialize_carry(jax.random.key(0), x[:, 0].shape)  # zeros, whatever the key
        initial = jax.tree.map(lambda part: part.astype(self.dtype or part.dtype), initial)
        layer = nn.RNN(cell, return_carry=True, reverse=self.reverse, keep_order=True)
        state, outputs = layer(x, initial_carry=initial, seq_lengths=lengths)
        if lengths is not None:
            outputs = jnp.where(there(lengths, steps=x.shape[1])[..., None], outputs, jnp.zeros((), outputs.dtype))
        return outputs, state


class Bidirectional(nn.Module):
    """Two recurrent layers, one in reverse (Schuster and Paliwal 1997): (outputs (n, t, 2 * features), last states).

    Each step's output is that of the layer "forward" beside that of "backward"; the states are a pair in this order.

    Attributes:
      features, cell, forget_bias, dtype: as in `Recurrent`, of each layer.
    """

    features: int
    cell: str = "lstm"
    forget_bias: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array, lengths: jax.Array | None = None) -> tuple[jax.Array, Any]:
        options: dict[str, Any] = {"forget_bias": self.forget_bias, "dtype": self.dtype}
        both = [
            Recurrent(self.features, self.cell, reverse=reverse, name=name, **options)(x, lengths)
            for name, reverse in (("forward", False), ("backward", True))
        ]
        outputs, states = zip(*both, strict=True)
        return jnp.concatenate(outputs, axis=-1), states
