"""A study is checked before its first run starts: all its slips at once, at the price of one trace a network."""

import pytest

from jaxcnn import data
from jaxcnn.cli import main
from jaxcnn.data.digits import digits
from jaxcnn.errors import InputError
from jaxcnn.sweeps import Study, run_study
from jaxcnn.sweeps.check import check_runs
from jaxcnn.training.config import to_json

ACTIVATION, RATE = "model.options.activation", "optimizer.learning_rate"
BUILT = """
from jaxcnn.architectures import create

BUILT = []


def build(**options):
    BUILT.append(options)
    return create("convnet", widths=(4,), convolutions=1, hidden=())
"""


def test_a_slip_in_one_level_starts_no_run(tiny_config, tmp_path):
    study = Study(tiny_config(), {RATE: (0.1, 0.2), ACTIVATION: ("relu", "rel")}, seeds=(0, 1))
    with pytest.raises(InputError) as raised:
        run_study(study, tmp_path / "study", title="", quiet=True)
    words = str(raised.value)
    assert words.startswith("nothing was started: 4 of 8 runs cannot be trained. ")
    assert "learning_rate=0.1, activation=rel and learning_rate=0.2, activation=rel: " in words
    assert "'relu'" in words and words.count("unknown activation") == 1
    assert not [path for path in (tmp_path / "study").iterdir() if path.is_dir()]


def test_every_kind_of_slip_is_found_and_the_first_are_shown(tiny_config):
    """A number out of range, a network, a split, a recipe: where the last is left out, its cell is."""
    levels = {
        "good": {},
        "range": {"optimizer.momentum": 1.5},
        "network": {"model.name": "resnet21"},
        "split": {"data.test": "train[95%:"},
        "recipe": {"augment.recipe": "imagene"},
    }
    with pytest.raises(InputError) as raised:
        check_runs(Study(tiny_config(), {"what": levels}, seeds=(0,)).runs())
    words = str(raised.value)
    assert "4 of 5 runs" in words and words.endswith("And 1 other slip.")
    for name, reason in (("range", "optimizer.momentum is 1.5"), ("network", "'resnet20'"), ("split", "train[95%:")):
        assert f"what={name}: " in words and reason in words
    assert "good" not in words and ".." not in words


def test_many_cells_of_one_slip_are_counted(tiny_config):
    runs = Study(tiny_config({"model.name": "mlpp"}), {"batch_size": (8, 16, 32, 40, 48)}, seeds=(0,)).runs()
    with pytest.raises(InputError, match=r"batch_size=8, batch_size=16, batch_size=32 and 2 other cells: "):
        check_runs(runs)


def test_numbers_share_one_trace_and_data_are_looked_up_once(tiny_config, user_package, monkeypatch):
    user_package("jaxcnn_test_built", BUILT)
    looked = []
    monkeypatch.setitem(data.sources.FILES, "counted", lambda path: looked.append(path) or digits())
    base = tiny_config({"model.name": "jaxcnn_test_built:build", "data.name": "counted:a"})
    rates = tuple(0.01 * (1 + number) for number in range(50))
    check_runs(Study(base, {RATE: rates, "batch_size": (16, 32)}, seeds=(0, 1)).runs())
    from jaxcnn_test_built import BUILT as built

    assert len(built) == 2 and len(looked) == 1  # a trace for each batch size


@pytest.fixture
def file(tiny_config, tmp_path):
    path = tmp_path / "slip.py"
    source = "from jaxcnn.sweeps import Study\nfrom jaxcnn.training.config import from_json\n\n\ndef study():\n"
    source += (
        f"    return Study(from_json({to_json(tiny_config())!r}), {{{ACTIVATION!r}: ('relu', 'rel')}}, seeds=(0,))\n"
    )
    path.write_text(source)
    return path


def test_data_that_only_the_nodes_hold_are_no_reason_not_to_submit(file, tmp_path, capsys):
    assert main(["sweep", str(file), "--workdir", str(tmp_path), "--runner", "slurm", "--dry-run", "--unchecked"]) == 0
    assert "activation=rel-seed=0" in capsys.readouterr().out
    assert main(["sweep", str(file), "--workdir", str(tmp_path), "--runner", "slurm", "--dry-run"]) == 2
    assert capsys.readouterr().err.endswith("Where only the nodes hold the data: --unchecked.\n")
    assert main(["sweep", str(file), "--workdir", str(tmp_path), "--unchecked"]) == 2
    assert "--unchecked is for --runner slurm" in capsys.readouterr().err


@pytest.mark.parametrize("options", [("--runner", "slurm", "--dry-run"), ("--jobs", "2"), ("--runner", "population")])
def test_every_runner_checks_first(options, file, tmp_path, capsys):
    workdir = tmp_path / "runs"
    assert main(["sweep", str(file), "--workdir", str(workdir), *options]) == 2
    out, err = capsys.readouterr()
    assert not out and "1 of 2 runs cannot be trained. activation=rel: " in err
    assert not list(workdir.glob("*seed=*"))
