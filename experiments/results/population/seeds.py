"""Eight seeds of the common LeNet-5 on the digits: what a population costs, see README.md."""

import pathlib
import runpy

from jaxcnn.sweeps import Study

CONFIGS = pathlib.Path(__file__).parents[3] / "configs"


def study():
    return Study(runpy.run_path(str(CONFIGS / "digits_lenet5.py"))["get_config"](), {}, seeds=tuple(range(8)))
