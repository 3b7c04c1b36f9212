"""The parts of the accelerator kit: what each runs, in which order, and what of it is left."""

import pathlib
import sys
from typing import NamedTuple

from jaxcnn.benchmark.steps import NETWORKS

ROOT = pathlib.Path(__file__).parents[1]
KIT = str(ROOT / "experiments" / "accelerator.py")
PYTHON = sys.executable
ARCHITECTURES = tuple(f"tests/architectures/{path.name}" for path in sorted(ROOT.glob("tests/architectures/test_*.py")))
TESTS = {  # files that need one device, no prepared data and no other process
    "operators": ("tests/operators",),
    "architectures_1": ARCHITECTURES[::2],
    "architectures_2": ARCHITECTURES[1::2],
    "training": (
        *("tests/augment", "tests/tasks", "tests/training/test_step.py", "tests/training/test_optimizer.py"),
        *("tests/training/test_embedding.py", "tests/analysis/test_backward.py"),
    ),
}
TINY_STUDY = '''"""A study of a moment."""

from jaxcnn.sweeps import Study, scale_config


def study():
    config = scale_config("digits")
    config.data.image_size, config.duration = (8, 8), "2 steps"
    config.model.options.update({"widths": (4,), "convolutions": 1, "hidden": ()})
    config.evaluation.every = config.checkpoint.every = "2 steps"
    return Study(base=config, factors={"optimizer.learning_rate": (0.05,)}, seeds=(0, 1, 2))
'''


class Part(NamedTuple):
    """One part.

    Attributes:
      name: also of its result, NAME.json.
      about: what it measures, a line.
      command: what runs; {out} is the folder of the results.
      rows: a file that the command writes, or empty.
      environment: variables that it gets.
      resumes: told to end, it saves its state, and the same command resumes.
    """

    name: str
    about: str
    command: tuple[str, ...]
    rows: str = ""
    environment: dict[str, str] = {}
    resumes: bool = False


def parts(*, tiny: bool) -> list[Part]:
    """All parts in the order in which they run: what is short and tells most first."""
    made = [_measure("numbers", "float32 and bfloat16 beside the CPU", tiny)]
    made += _tests(tiny)
    names = ["lenet5_common"] if tiny else list(NETWORKS)
    made += [_steps(name, "bfloat16", tiny) for name in names]
    made.append(_measure("profile", "the ten largest operations of the worst step", tiny))
    made.append(_measure("population", "16 resnet20 in one program", tiny))
    made.append(_measure("feed", "photographs that feed resnet50", tiny))
    made.append(_measure("determinism", "the same bits twice, and their price", tiny))
    made.append(_measure("speed", "CIFAR-10 to 94 %, several seeds", tiny, resumes=True))
    made.append(_cifar(tiny))
    made += [] if tiny else [_steps(name, "float32", tiny) for name in names]
    return made


def _measure(name, about, tiny, *, resumes=False):
    command = (PYTHON, KIT, "measure", name, "--output", "{out}", *(("--tiny",) if tiny else ()))
    return Part(name, about, command, rows=f"{name}.rows.json", resumes=resumes)


def _tests(tiny):
    """float32 at full precision: the bounds of the tests are those of a CPU."""
    chosen = {"operators": ("tests/operators/test_dense.py",)} if tiny else TESTS
    for name, files in chosen.items():
        workers = "0" if tiny else "8"
        command = (PYTHON, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider")
        command += ("--junitxml", f"{{out}}/tests_{name}.xml", *files)
        environment = {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}
        yield Part(f"tests_{name}", "tests that hold on any device", command, f"tests_{name}.xml", environment)


def _steps(network, precision, tiny):
    name = f"steps_{precision}_{network}"
    options = ("--only", network, "--precision", precision, "--rounds", "1" if tiny else "5")
    rows = f"{name}.rows.json"
    command = (PYTHON, "-m", "jaxcnn", "benchmark", "steps", *options, "--output", f"{{out}}/{rows}")
    return Part(name, f"{network} beside PyTorch", command, rows)


def _cifar(tiny):
    study = ("{out}/tiny.py",) if tiny else (str(ROOT / "experiments/_kit_cifar10.py"),)
    command = (PYTHON, "-m", "jaxcnn", "sweep", *study, "--workdir", "{out}/cifar10", "--runner", "population")
    about = "plain and residual, 20 and 56 layers, three seeds"
    return Part("cifar10", about, command, rows="cifar10/summary.md", resumes=True)
