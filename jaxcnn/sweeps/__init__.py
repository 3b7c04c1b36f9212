"""Studies: many runs that answer one question."""

from typing import Any

from jaxcnn.sweeps.claim import Claim
from jaxcnn.sweeps.measures import steps_to_training_error
from jaxcnn.sweeps.metrics import Metric, metrics_of
from jaxcnn.sweeps.scales import is_large, mnist_config, scale_config, scale_margin
from jaxcnn.sweeps.study import Run, Study, load_study

__all__ = [
    "Claim",
    "Measure",
    "Metric",
    "Run",
    "Study",
    "is_large",
    "load_study",
    "metrics_of",
    "mnist_config",
    "run_study",
    "scale_config",
    "scale_margin",
    "steps_to_training_error",
]

Measure = Metric  # its name in the study files of before


def __getattr__(name: str) -> Any:
    """Imports run_study when it is first used: a worker of one run needs no statistics, report or figures."""
    if name != "run_study":
        raise AttributeError(f"module 'jaxcnn.sweeps' has no attribute {name!r}")
    from jaxcnn.sweeps.runner import run_study

    return run_study
