"""Imports run one way: a package may use those of the lines above its own, and no other."""

import ast
import pathlib

PACKAGE = pathlib.Path(__file__).parents[1] / "jaxcnn"
ORDER = """
errors interrupt names process quantity
files lock progress shipped trust
operators
architectures augment data
analysis tasks
training
evaluation population
transfer
visualize
sweeps
benchmark
cli
__init__ __main__
"""
LEVEL = {name: number for number, line in enumerate(ORDER.split("\n")) for name in line.split()}


def imported(path):
    """The full names of a file's imports, also those within its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_imports_run_one_way():
    assert {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")} - {"__pycache__"} == LEVEL.keys()
    up = []
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for root, _, name in (name.partition(".") for name in imported(path)):
            other = name.partition(".")[0] or "__init__"
            if root == "jaxcnn" and other in LEVEL.keys() - {own} and LEVEL[other] >= LEVEL[own]:
                up.append(f"{path.relative_to(PACKAGE.parent)} imports jaxcnn.{name}")
    assert up == []
