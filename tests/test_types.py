"""Types: what is public is annotated, and the checker finds no error."""

import ast
import pathlib
import subprocess
import sys
import sysconfig
import tomllib

import pytest

import jaxcnn

ROOT = pathlib.Path(__file__).parents[1]
CHECKED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ty"]["src"]


def files():
    for path in CHECKED["include"]:
        yield from sorted((ROOT / path).rglob("*.py"))


def public(body, prefix=""):
    """The public functions of a module with their names, those of its public classes too."""
    for node in body:
        own = node.name if hasattr(node, "name") else "_"
        if not own.startswith("_") or own.startswith("__"):
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{own}.")
            elif isinstance(node, ast.FunctionDef):
                yield prefix + own, node


def missing(name, function):
    """The parameters of a function that have no annotation, and "return" where that has none."""
    arguments = function.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    bound = "." in name and not any(ast.unparse(d) == "staticmethod" for d in function.decorator_list)
    yield from (p.arg for p in parameters[bound:] if p is not None and p.annotation is None)
    if function.returns is None:
        yield "return"


def test_public_functions_are_annotated():
    left = [
        f"{path.relative_to(ROOT)}:{function.lineno} {name}: {what}"
        for path in files()
        for name, function in public(ast.parse(path.read_text()).body)
        for what in missing(name, function)
    ]
    assert left == []


def test_a_checker_sees_the_names_of_the_package_where_they_are_found():
    top = ast.parse((ROOT / "jaxcnn" / "__init__.py").read_text())
    (seen,) = (node.body for node in top.body if isinstance(node, ast.If))
    imported = {name.asname: f.module for f in seen if isinstance(f, ast.ImportFrom) for name in f.names if name.asname}
    assert imported == jaxcnn._HOME


def test_checker_finds_no_error():
    checker = pathlib.Path(sysconfig.get_path("scripts")) / "ty"
    if not checker.exists():
        pytest.skip("ty is not installed")
    command = [checker, "check", f"--python={sys.prefix}", "--output-format=concise"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
