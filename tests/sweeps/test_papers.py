"""Published results at their own scale: the list, what is read of runs and records, and the verb reproduce."""

import csv
import dataclasses
import json
import re

import pytest

from jaxcnn import shipped
from jaxcnn.cli import main
from jaxcnn.errors import InputError
from jaxcnn.sweeps import reproduction
from jaxcnn.sweeps.papers import PAPERS, Paper
from jaxcnn.sweeps.reproduction import RECORDS, Found, find, papers_of, verdict

STUDY = '''"""Does a study of a second meet a paper?"""
from jaxcnn import default_config
from jaxcnn.sweeps import Claim, Study

def study():
    config = default_config()
    config.data.image_size = (8, 8)
    config.model.name, config.model.options.hidden = "mlp", ()
    config.duration = "20 steps"
    config.evaluation.every = config.checkpoint.every = "20 steps"
    rates = {"optimizer.learning_rate": (0.1, 1e-4)}
    sides = ({"optimizer.learning_rate": rate} for rate in (0.1, 1e-4))
    return Study(config, rates, seeds=(0, 1, 2), claims=(Claim("A rate of 0.1 tests better.", *sides),))
'''
ERROR = "lenet5/error/MNIST test/no distortions"  # printed as 0.95


def test_the_list_names_studies_claims_cells_and_numbers_that_there_are():
    assert len({paper.name for paper in PAPERS}) == len(PAPERS) >= 12
    for paper in PAPERS:
        assert bool(paper.number) != bool(paper.source) and (paper.number or paper.claim), paper.name
        assert (paper.number.data if paper.number else paper.data) and paper.protocol and paper.minutes > 0, paper.name
        assert shipped.shipped("experiments", paper.study).is_file()
        if paper.script:
            continue
        study, docstring = reproduction.study_of_paper(paper)
        assert len(study.seeds) == paper.seeds and "Claim:" in docstring
        if paper.claim and not paper.difference:
            assert paper.claim in [claim.text for claim in study.claims], paper.name
        elif paper.table == "results.csv" and not paper.difference:
            assert paper.where["cell"] in study.cells() and paper.column in study.metrics, paper.name
        if paper.number:
            assert paper.number.printed in docstring, f"{paper.name}: its study does not say the number"


def test_committed_records_are_read_and_judged_by_the_ledger(tmp_path):
    """The numbers are those of the records' own README.md."""
    known = {
        "deep-autoencoder": (5, 2.77, "met"),
        "logistic-pca": (5, 7.92, "met"),
        "orl-eigenfaces": (20, 10.68, "met, within the interval"),
        "bm3d-denoising": (3, 29.07, "missed by 0.90"),
        "dncnn-denoising": (3, 29.07, "missed by 1.37"),
        "pca": (1, 13.87, "met"),
        "random-against-grid": (8, -0.24, "not decided"),
    }
    for paper in papers_of(list(known)):
        found = find(paper, tmp_path)
        n, value, words = known[paper.name]
        assert (found.n, round(found.value, 2), verdict(paper, found)) == (n, value, words)
        about = reproduction.origin(found.folder)
        assert found.folder == RECORDS / paper.folder and about["commit"] and "cpu" in about["device"]
        assert about["command"].startswith("python ")
    (forgetting,) = papers_of(["learning-without-forgetting"])
    found = find(forgetting, tmp_path)
    assert (found.n, round(found.value, 4), verdict(forgetting, found)) == (5, 3.0940, "met")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Found(), "missing"),
        (Found(5, 0.951, (0.94, 0.96)), "met"),  # rounds to the printed 0.95
        (Found(5, 0.97, (0.94, 1.0)), "met, within the interval"),
        (Found(5, 1.2, (1.1, 1.3)), "missed by 0.25"),
        (Found(1, 1.2, None), "1 of 5 runs: missed by 0.25, n = 1: no interval"),
    ],
)
def test_a_number_is_met_or_missed(found, words):
    assert verdict(Paper("lenet5", "", "lenet5_mnist", 5, 1, entry=ERROR), found) == words


def test_higher_is_better_of_what_is_no_error_and_claims_are_met_where_supported():
    six = Paper("six", "", "relu_cifar10", 3, 1, entry="alexnet/relu sooner than tanh")
    assert verdict(six, Found(3, 6.4, (5, 8))) == "met" and verdict(six, Found(3, 2.0, (1, 3))) == "missed by 4.00"
    claim = Paper("claim", "", "adam_mnist", 3, 1, source="figure", claim="One is above.")
    assert verdict(claim, Found(3, 1.0, (0.5, 1.5), "supported")) == "met"
    assert verdict(claim, Found(3, 1.0, (-1.0, 3.0), "not decided")) == "not decided"
    for said in ("refuted", "no difference that matters"):
        assert verdict(claim, Found(3, 1.0, None, said)) == f"missed: {said}"
    alike = Paper("alike", "", "adam_mnist", 3, 1, source="figure", claim="One is above.", alike=True)
    assert verdict(alike, Found(3, 0.0, None, "no difference that matters")) == "met"
    assert verdict(alike, Found(3, 0.0, None, "supported")) == "missed: there is a difference"


def test_an_unknown_name_is_refused_and_the_nearest_named(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match=r"no published result 'lenet'.*'lenet5'"):
        papers_of(["lenet"])
    for option in ((), ("--run",)):
        assert main(["reproduce", *option, "lenet", "--workdir", str(tmp_path)]) == 2
        assert "did you mean 'lenet5'" in capsys.readouterr().err
    (script,) = papers_of(["orl-network"])
    monkeypatch.setattr(reproduction, "PAPERS", (dataclasses.replace(script, seeds=1000),))  # more than there are
    assert main(["reproduce", "--run", "orl-network", "--workdir", str(tmp_path)]) == 2
    assert "python experiments/orl.py --data folder:FACES" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_named_result_is_trained_though_a_record_has_it(tmp_path, monkeypatch, capsys):
    """Without names, what is recorded is not trained again: nothing can be written in tmp_path/file."""
    monkeypatch.setattr(reproduction, "PAPERS", tuple(papers_of(["lenet5"])))
    (tmp_path / "file").touch()
    workdir, page = str(tmp_path / "file" / "runs"), str(tmp_path / "papers.md")
    given = ["reproduce", "--workdir", workdir, "--output", page, "--run"]
    assert main(given) == 0 and "lenet5" in capsys.readouterr().out
    assert main([*given, "lenet5"]) == 2
    assert re.search("cannot be written|is not prepared", capsys.readouterr().err)


def test_only_what_run_names_is_trained(tmp_path, monkeypatch, capsys):
    swept = []
    monkeypatch.setattr("jaxcnn.cli.papers._sweep", lambda paper, *_: swept.append(paper.name) or 0)
    given = ["--workdir", str(tmp_path / "runs"), "--output", str(tmp_path / "papers.md")]
    assert main(["reproduce", "maxout", *given, "--run", "lenet5"]) == 0 and swept == ["lenet5"]
    assert "maxout" in capsys.readouterr().out


def test_the_verb_trains_what_is_missing_and_writes_the_page(tmp_path, monkeypatch, capsys):
    """Two results of one study of three seeds: it is swept once, with the one that they take, and then read."""
    study = tmp_path / "tiny.py"
    study.write_text(STUDY)
    own = {"protocol": "20 steps", "study": str(study), "seeds": 1, "minutes": 0.1}
    error = Paper("error", **own, entry=ERROR, where={"cell": "learning_rate=0.1"}, percent="wrong", record="tiny")
    claim = Paper("claim", **own, source="figure 9", data="digits", claim="A rate of 0.1 tests better.", record="tiny")
    monkeypatch.setattr(reproduction, "PAPERS", (error, claim))
    page, workdir = tmp_path / "results" / "papers.md", tmp_path / "runs"
    page.parent.mkdir()
    given = ["reproduce", "--workdir", str(workdir), "--output", str(page)]
    assert main(given) == 0 and page.read_text().count("| missing |") == 2
    assert main([*given, "--run", "error"]) == 0
    with (workdir / "tiny" / "results.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["cell"] == "learning_rate=0.1"]
    assert [row["seed"] for row in rows] == ["0"]
    wrong = 100 - 100 * float(rows[0]["test_top1"])
    (claimed,) = json.loads((workdir / "tiny" / "verdicts.json").read_text())["claims"]
    lines = {line.split(" | ")[0]: line.split(" | ") for line in page.read_text().splitlines()}
    cells = lines["| [error](#tiny)"]
    assert cells[1] == "0.95 % (LeCun et al. 1998, section III.B)"
    ours = f"missed by {wrong - 0.95:.2f}" if wrong > 0.95 else "met"
    assert cells[2:5] == [f"{wrong:.2f}", "1", f"{ours}, n = 1: no interval"]
    _, section = page.read_text().split("\n### tiny\n")
    assert "- error: MNIST test; 20 steps\n- claim: digits; 20 steps\n- command: `python " in section
    assert "\n- commit: " in section and "\n- device: cpu" in section
    points = f"{100 * claimed['estimate']:.3g} points"  # of a pair, which decides nothing
    assert lines["| [claim](#tiny)"][2:5] == [points, "1", "not decided, n = 1: no interval"]
    capsys.readouterr()
    before = (workdir / "tiny" / "results.csv").stat().st_mtime_ns
    assert main([*given, "--run"]) == 0  # nothing is missing: nothing is swept
    assert (workdir / "tiny" / "results.csv").stat().st_mtime_ns == before and "checking" not in capsys.readouterr().err
