"""How an operator is computed on each backend; all other code sees one primitive with its plain arguments.

| primitive | on CPU | elsewhere |
|---|---|---|
| convolution and its two gradients | convolution_cpu.py | convolution_xla.py |
| convolution under vmap over kernels | convolution_vmap.py | convolution_vmap.py |
| max pooling and its gradient | max_pool.py: shifted slices | XLA's reduce_window and select_and_scatter |
| sum pooling and its gradient | sum_pool.py: shifted slices | XLA's reduce_window |
| sum of neighbour channels | channel_sum.py: XLA's reduce_window | channel_sum.py: shifted slices |

`primitive.py` alone imports JAX's insides. `window.py` gives the slices that the taps of a sliding window meet.
Measured gains: experiments/results/operators.
"""
