"""Sequences: recurrent cells over time, attention, connectionist temporal classification, greedy and beam search.

Sequences are (n, t, c), padded to one t; `lengths` (n,) says how many steps of each are there. Padding changes neither
states nor outputs, which are 0 there. An embedding is Flax's own `Embed`.

```python
outputs, state = Recurrent(64, cell="lstm")(x, lengths)           # (n, t, 64), ((n, 64), (n, 64))
both, _ = Bidirectional(64, cell="gru")(x, lengths)               # (n, t, 128)
context, weights = AdditiveAttention(32)(query, both, lengths)    # (n, 128), (n, t)
loss = ctc_loss(logits, labels, label_mask)                       # (n,)
best = beam_search(state, step=step, begin=1, end=2, length=20, width=5)
```
"""

from flax.linen import Embed

from jaxcnn.operators.recurrent.attention import AdditiveAttention
from jaxcnn.operators.recurrent.cells import CELLS, Bidirectional, Recurrent, there
from jaxcnn.operators.recurrent.ctc import ctc_greedy, ctc_loss
from jaxcnn.operators.recurrent.search import Hypotheses, beam_search, greedy_search

__all__ = [
    "CELLS",
    "AdditiveAttention",
    "Bidirectional",
    "Embed",
    "Hypotheses",
    "Recurrent",
    "beam_search",
    "ctc_greedy",
    "ctc_loss",
    "greedy_search",
    "there",
]
