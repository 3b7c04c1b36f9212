"""Which activation trains LeNet-5's common form best on the embedded digits: tanh, sigmoid or relu?

Claim: LeCun et al. 1998 use a scaled tanh; LeCun, Bottou, Orr and Mueller 1998 ("Efficient BackProp", section 4.4)
    recommend it over the logistic sigmoid, which is not symmetric about zero.
Protocol: `lenet5_common` on scikit-learn's 1,797 digits at 32x32, fixed stratified 80/20 split, the last 10 % of the
    training part held out for the choice of the checkpoint; SGD momentum 0.9, cosine decay; 5 seeds a cell, the same
    recipe for every activation.
Refuted if: sigmoid's mean test accuracy is above tanh's, or its training loss below, beyond what the spread of the
    seeds explains (paired t over the seeds, Holm over the two claims).
Cost: 15 runs of about 5 seconds on 2 CPU cores.
"""

from jaxcnn import default_config
from jaxcnn.sweeps import Claim, Study

ACTIVATION = "model.options.activation"


def study():
    """Three activations, five seeds each."""
    config = default_config()
    config.duration = "24 epochs"
    config.batch_size = 32
    config.augment.pad_crop = 2
    config.optimizer.learning_rate = 0.05
    config.optimizer.weight_decay = 1e-4
    config.schedule.name = "cosine"
    config.evaluation.every = config.checkpoint.every = "2 epochs"
    return Study(
        base=config,
        factors={ACTIVATION: ("tanh", "sigmoid", "relu")},
        seeds=(0, 1, 2, 3, 4),
        baseline={ACTIVATION: "tanh"},
        claims=(
            Claim("Tanh tests better than the logistic sigmoid.", {ACTIVATION: "tanh"}, {ACTIVATION: "sigmoid"}),
            Claim(
                "Tanh ends with a lower training loss than the logistic sigmoid.",
                {ACTIVATION: "sigmoid"},
                {ACTIVATION: "tanh"},
                metric="train_loss",
            ),
        ),
    )
