"""The manifest of docs/cluster.md against the API of Kubernetes."""

import pathlib
import re

import pytest
import yaml

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "cluster.md"


@pytest.mark.long  # its schemas are 22 MB, which .ci/run heavy installs
@pytest.mark.parametrize("version", ["1.31", "1.37"])
def test_the_manifest_is_one_of_kubernetes(version):
    import kubernetes_validate

    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    parts = list(yaml.safe_load_all(block))
    assert [part["kind"] for part in parts] == ["Service", "Job"]
    for part in parts:
        kubernetes_validate.validate(part, version, strict=True)
