"""Does the gradient of a recurrent network vanish or explode on its way back through time, and that of an LSTM not?

Claim: Bengio, Simard and Frasconi 1994, and Pascanu, Mikolov and Bengio 2013 (arXiv:1211.5063): through tanh units it
    falls or grows by a factor a step, by the size of the recurrent weights. Hochreiter and Schmidhuber 1997: through
    the memory of an LSTM whose gates stay open it does neither.
Protocol: one layer of 64 units as it is drawn, 64 sequences of 100 steps of N(0, 0.3) numbers, two a step, 5 draws: the
    size of the gradient of the last output with respect to each step's input. Orthogonal recurrent weights times 0.7,
    1 and 1.5 with tanh; rectified units that begin with the identity; LSTMs with a forget bias of 0, 1 and 5.
Refuted if: of the tanh units with 0.7 and 1 more than a thousandth is left at 50 steps, or of the LSTM with a bias of 5
    less than a tenth.
Cost: a minute on 2 CPU cores.
    python experiments/vanishing_gradients.py --output experiments/results/vanishing_gradients
"""

import argparse
import collections
import json
import pathlib

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxcnn.analysis.through_time import gradients_through_time
from jaxcnn.evaluation.error_table import write_csv
from jaxcnn.operators.recurrent import Recurrent
from jaxcnn.process import set_up_process
from jaxcnn.training.rundir.environment import environment
from jaxcnn.visualize.figure import new_figure, plain_axes, save_figure, style

STEPS, UNITS, SEQUENCES, DRAWS, SPREAD = 100, 64, 64, 5, 0.3
CELLS = {  # name: (options of the layer, factor of its recurrent weights)
    "tanh, weights times 0.7": ({"cell": "rnn"}, 0.7),
    "tanh, weights times 1": ({"cell": "rnn"}, 1.0),
    "tanh, weights times 1.5": ({"cell": "rnn"}, 1.5),
    "relu from the identity": ({"cell": "irnn"}, 1.0),
    "LSTM, forget bias 0": ({"cell": "lstm"}, 1.0),
    "LSTM, forget bias 1": ({"cell": "lstm", "forget_bias": 1.0}, 1.0),
    "LSTM, forget bias 5": ({"cell": "lstm", "forget_bias": 5.0}, 1.0),
}

Row = collections.namedtuple("Row", ("cell", "draw", "delay", "gradient"))


def main(argv=None):
    """Measures every cell, and writes the table, the summary and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, metavar="DIR", help="for results.csv, summary.json, gradients.png")
    output = pathlib.Path(parser.parse_args(argv).output)
    set_up_process()
    output.mkdir(parents=True, exist_ok=True)
    found = {name: np.stack([measure(*cell, draw) for draw in range(DRAWS)]) for name, cell in CELLS.items()}
    rows = [
        Row(name, draw, STEPS - 1 - step, float(value))
        for name, draws in found.items()
        for draw, norms in enumerate(draws)
        for step, value in enumerate(norms)
    ]
    write_csv(output / "results.csv", rows)
    left = {name: float(np.mean(draws[:, -51] / draws[:, -1])) for name, draws in found.items()}
    about = {"left_at_50_steps": left, "environment": environment()}
    (output / "summary.json").write_text(json.dumps(about, indent=1) + "\n")
    save_figure(figure(found), output / "gradients.png")
    for name, share in left.items():
        print(f"{name}: {share:.2g} of the gradient is left at 50 steps")


def measure(options, factor, draw):
    """(STEPS,) sizes of the gradient, the first step first."""
    random = np.random.default_rng(draw)
    x = random.normal(size=(SEQUENCES, STEPS, 2), scale=SPREAD).astype(np.float32)
    layer = Recurrent(UNITS, **options)
    flat = flatten_dict(layer.init(jax.random.key(draw), x))
    scaled = {path: leaf * factor if path[-2:] == ("h", "kernel") else leaf for path, leaf in flat.items()}
    variables = unflatten_dict(scaled)

    def last(x):
        return layer.apply(variables, x)[0][:, -1]

    return np.asarray(jax.jit(lambda x: gradients_through_time(last, x, key=jax.random.key(draw)))(x))


def figure(found):
    """The geometric mean over draws against the delay, down to 1e-12."""
    drawing = new_figure(8, 4.5)
    axes = drawing.subplots()
    delays = np.arange(STEPS)[::-1]
    for number, (name, draws) in enumerate(found.items()):
        mean = np.exp(np.log(np.maximum(draws, 1e-30)).mean(axis=0))
        axes.plot(delays, np.where(mean > 1e-12, mean, np.nan), label=name, **style(number))
    axes.set_yscale("log")
    plain_axes(
        axes,
        title="The gradient of the last output, by how far back",
        xlabel="steps back",
        ylabel="size of the gradient",
    )
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawing


if __name__ == "__main__":
    main()
