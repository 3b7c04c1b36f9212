"""JAX promises nothing of its insides: the files that use them are few, and named in CONTRIBUTING.md."""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
USES_INSIDES = {
    "jaxcnn/analysis/jaxpr.py": {"jax.extend"},
    "jaxcnn/operators/lowering/primitive.py": {"jax.extend", "jax.interpreters"},
    "jaxcnn/training/drawing.py": {"jax.extend"},
    "jaxcnn/training/processes/multihost.py": {"jax.experimental"},
}
NO_PROMISE = ("jax._src", "jax.core", "jax.experimental", "jax.extend", "jax.interpreters", "jax.lib", "jaxlib")


def imported(path):
    """The full names of what a file imports or reads from jax by attribute."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def insides(path):
    return {inside for name in imported(path) for inside in NO_PROMISE if f"{name}.".startswith(f"{inside}.")}


def test_only_the_named_files_use_the_insides_of_jax():
    files = {path.relative_to(ROOT).as_posix(): insides(path) for path in (ROOT / "jaxcnn").rglob("*.py")}
    assert {name: found for name, found in files.items() if found} == USES_INSIDES


def test_each_is_named_for_contributors():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert [name for name in USES_INSIDES if f"`{name}`" not in text] == []
