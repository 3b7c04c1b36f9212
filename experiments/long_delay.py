"""Does an LSTM add two numbers that lie a hundred steps apart, where a plain recurrent network cannot?

Claim: Hochreiter and Schmidhuber 1997 (experiment 4): an LSTM solves the adding problem at 100 steps; networks whose
    error fades on its way back do not. Always saying 1 costs a squared error of 1 / 6 = 0.167.
Protocol: sequences of 10, 50 and 100 steps (`add_10`, ...), 18,000 to train on; one layer of 64 units, one recipe; the
    LSTM's forget gates begin with a bias of 4, so that its memory lasts for 50 steps from the start (with 0 it halves
    in a step, and nothing of the first mark comes back); the squared error on 2,000 test sequences.
Refuted if: the error of tanh units at 100 steps is not above that of the LSTM beyond what the seeds explain (paired t
    of the log of the ratio), or the LSTM's is not below 0.167.
Cost: 18 runs, 18 minutes of one core with --runner population.
"""

from jaxcnn import default_config
from jaxcnn.sweeps import Claim, Study

CELL, DATA = "model.options.cell", "data.name"


def study():
    """Two cells, three delays."""
    config = default_config()
    config.data.name, config.task.name = "add_100", "regression"
    config.model.name, config.model.options = "rnn_classifier", {"units": 64, "num_classes": 1}
    config.batch_size, config.duration = 64, "20 epochs"
    config.optimizer.name, config.optimizer.learning_rate, config.optimizer.clip = "adam", 2e-3, 1.0
    config.schedule.name, config.schedule.warmup = "cosine", "2%"
    cells = {"lstm": {CELL: "lstm", "model.options.forget_bias": 4.0}, "tanh": {CELL: "rnn"}}
    lstm, plain = ({"cell": name, DATA: "add_100"} for name in cells)
    return Study(
        base=config,
        factors={"cell": cells, DATA: ("add_10", "add_50", "add_100")},
        seeds=(0, 1, 2),
        claims=(Claim("At 100 steps tanh units err more than the LSTM.", plain, lstm),),
    )
