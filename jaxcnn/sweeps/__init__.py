"""Studies: many runs that answer one question."""

from jaxcnn.sweeps.claim import METRICS, Claim, Measure
from jaxcnn.sweeps.runner import run_study
from jaxcnn.sweeps.study import Run, Study, load_study

__all__ = ["METRICS", "Claim", "Measure", "Run", "Study", "load_study", "run_study"]
