"""jaxcnn: a research codebase for convolutional networks in JAX.

```python
import jaxcnn

config = jaxcnn.default_config()
config.data.name = "digits"
config.model.name = "resnet20"
config.duration = "5 epochs"
result = jaxcnn.train(config, "runs/first")
print(result.test["top1"])
network = jaxcnn.Trained("runs/first")            # network.model, network.variables, network.predict([...])
jaxcnn.write_report("runs/first")                 # runs/first/report.html
```
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as of typing, whose own import would take longer than this one
if TYPE_CHECKING:
    from typing import Any

    from jaxcnn.analysis import summarize as summarize
    from jaxcnn.architectures import ARCHITECTURES as ARCHITECTURES
    from jaxcnn.architectures import create as create
    from jaxcnn.errors import InputError as InputError
    from jaxcnn.evaluation.trained import Trained as Trained
    from jaxcnn.training.config import default_config as default_config
    from jaxcnn.training.preflight.checks import teacher_checks as teacher_checks
    from jaxcnn.training.preflight.rates import find_rate as find_rate
    from jaxcnn.training.rundir.frame import history as history
    from jaxcnn.training.train import train as train
    from jaxcnn.visualize.collect import write_report as write_report

__version__ = "0.1.0"

_HOME = {
    "ARCHITECTURES": "jaxcnn.architectures",
    "InputError": "jaxcnn.errors",
    "Trained": "jaxcnn.evaluation.trained",
    "create": "jaxcnn.architectures",
    "default_config": "jaxcnn.training.config",
    "find_rate": "jaxcnn.training.preflight.rates",
    "history": "jaxcnn.training.rundir.frame",
    "summarize": "jaxcnn.analysis",
    "teacher_checks": "jaxcnn.training.preflight.checks",
    "train": "jaxcnn.training.train",
    "write_report": "jaxcnn.visualize.collect",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: `import jaxcnn` and `--help` stay fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'jaxcnn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
