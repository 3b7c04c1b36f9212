"""The examples in docs/ say what the code says."""

import doctest
import pathlib

import pytest

DOCS = [
    path for path in sorted((pathlib.Path(__file__).parents[1] / "docs").glob("*.md")) if ">>> " in path.read_text()
]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_examples(path):
    found = doctest.testfile(str(path), module_relative=False)
    assert found.attempted > 0 and found.failed == 0
