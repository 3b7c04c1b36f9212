"""experiments/degradation.py on CIFAR-10 with three seeds: the state of more does not come back from a lent machine."""

import dataclasses

from jaxcnn.shipped import shipped
from jaxcnn.sweeps import Study
from jaxcnn.sweeps.study import load_study


def study() -> Study:
    """Plain and residual, shallow and deep, at the paper's length."""
    found, _ = load_study(shipped("experiments", "degradation"), "cifar10")
    return dataclasses.replace(found, seeds=found.seeds[:3])
