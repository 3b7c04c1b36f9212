"""What a shell gets when it asks for completions, as argcomplete's protocol has it."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("jaxcnn tra", {"train"}),
        ("jaxcnn train --config=digits_l", {"--config=digits_lenet5"}),
        ("jaxcnn train --config.model.name=resnet1520", set()),
        ("jaxcnn train --config.task.name=recons", {"--config.task.name=reconstruction"}),
        ("jaxcnn train --config.batch_s", {"--config.batch_size"}),
        ("jaxcnn sweep small_f", {"small_filters"}),
        ("jaxcnn summary lenet5_c", {"lenet5_common"}),
    ],
)
def test_a_line_is_completed(line, found, tmp_path):
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    asked |= {"_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "found")}
    command = [sys.executable, "-c", "from jaxcnn.cli import main; main()"]
    subprocess.run(command, env={**os.environ, **asked}, cwd=tmp_path, check=True)
    assert set((tmp_path / "found").read_text().split()) == found
