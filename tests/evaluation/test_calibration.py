"""Calibration against plain loops, and temperature scaling against a scan of temperatures."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from jaxcnn import InputError, Trained, cli
from jaxcnn.evaluation.calibration import calibration_of, fit_temperature, reliability
from jaxcnn.training.rundir.evaluations import read_evaluations


def by_loop(confidence, right, bins):
    """(ECE, [images], [mean confidence], [share right]) by the paper's sum."""
    total, rows = 0.0, []
    for number in range(bins):
        own = [i for i, p in enumerate(confidence) if number / bins < p <= (number + 1) / bins]
        mean, share = [sum(x[i] for i in own) / len(own) for x in (confidence, right)] if own else (None, None)
        total += 0 if not own else len(own) / len(confidence) * abs(share - mean)
        rows.append((len(own), mean, share))
    return total, *map(list, zip(*rows, strict=True))


@pytest.mark.parametrize("bins", [15, 4])
def test_error_is_the_sum_over_bins(bins):
    random = np.random.default_rng(bins)
    edges = np.arange(1, bins + 1) / bins  # an edge belongs to the bin below it
    confidence = np.concatenate([random.uniform(0.3, 1, 200), edges])
    right = random.random(len(confidence)) < confidence**2
    found = reliability(confidence, right, bins=bins)
    ece, *columns = by_loop(confidence.tolist(), right.tolist(), bins)
    assert found["ece"] == pytest.approx(ece, rel=1e-12) and ece > 0.01
    assert found["images"] == columns[0]
    for name, column in zip(("confidence", "accuracy"), columns[1:], strict=True):
        assert [x is None for x in found[name]] == [x is None for x in column]
        assert [x for x in found[name] if x is not None] == pytest.approx([x for x in column if x is not None])


@pytest.fixture
def overconfident():
    """(logits (400, 5), labels): three times as large as those that the labels were drawn by."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(400, 5)) * 2
    labels = np.array([random.choice(5, p=p) for p in np.asarray(jax.nn.softmax(logits))])
    return 3 * logits, labels


def nll(logits, labels):
    return float(-np.asarray(jax.nn.log_softmax(logits), np.float64)[np.arange(len(labels)), labels].mean())


def test_temperature_has_the_lowest_likelihood(overconfident):
    logits, labels = overconfident
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(3, rel=0.1)
    best = min(np.geomspace(1, 9, 2001), key=lambda t: nll(logits / t, labels))
    assert temperature == pytest.approx(best, rel=1.2e-3)
    assert fit_temperature(logits / 7, labels) == pytest.approx(temperature / 7, rel=1e-9)
    assert fit_temperature(logits + 100, labels) == pytest.approx(temperature, rel=1e-9)


def test_no_temperature_where_the_lower_the_better():
    assert fit_temperature(np.eye(3), np.arange(3)) is None
    assert fit_temperature(np.zeros((3, 3)), np.arange(3)) is None
    assert calibration_of(np.eye(3), np.arange(3))["scaled"] is None
    assert calibration_of(np.array([[np.nan, 0.0]]), [0]) is None
    assert calibration_of(np.zeros((0, 3)), []) is None


def test_scaling_helps_who_is_too_sure(overconfident):
    logits, labels = overconfident
    found = calibration_of(logits, labels)
    json.dumps(found)
    assert found["bins"] == 15 and found["nll"] == pytest.approx(nll(logits, labels), rel=1e-6)
    assert found["scaled"]["nll"] == pytest.approx(nll(logits / found["temperature"], labels), rel=1e-6)
    assert found["scaled"]["ece"] < 0.5 * found["ece"]
    right = np.argmax(logits, axis=1) == labels
    ece, images, *_ = by_loop(np.asarray(jax.nn.softmax(np.float32(logits))).max(axis=1), right, 15)
    assert found["ece"] == pytest.approx(ece, rel=1e-5) and found["images"] == images


@pytest.fixture(scope="module")
def evaluated(tiny_run, tmp_path_factory):
    """(workdir, {"early": test before validation, "validation": ..., "test": ...}) of a copy of the tiny run."""
    workdir = shutil.copytree(tiny_run, tmp_path_factory.mktemp("calibration") / "run")
    network = Trained(workdir)
    order = {"early": "test", "validation": "validation", "test": "test"}
    return workdir, {name: network.evaluate(split) for name, split in order.items()}


def test_evaluation_calibrates(evaluated):
    workdir, found = evaluated
    network = Trained(workdir)
    batches = {split: network.open(split).records for split in ("validation", "test")}
    batches = {split: records.read(range(len(records))) for split, records in batches.items()}
    logits = {split: network.map(network.apply, batch["image"])[0] for split, batch in batches.items()}
    (_, early), (_, held_out), (result, test) = (found[name] for name in ("early", "validation", "test"))
    assert early["calibration"]["temperature"] is early["calibration"]["scaled"] is None
    temperature = held_out["calibration"]["temperature"]
    assert temperature == pytest.approx(fit_temperature(logits["validation"], batches["validation"]["label"]), rel=1e-3)
    assert test["calibration"]["temperature"] == temperature
    for row, split in ((held_out, "validation"), (test, "test")):
        labels, own = batches[split]["label"], row["calibration"]
        assert sum(own["images"]) == row["n"] == len(labels)
        for one, of in ((own, logits[split]), (own["scaled"], logits[split] / temperature)):
            assert one["nll"] == pytest.approx(nll(of, labels), rel=1e-4)
            confidence = np.asarray(jax.nn.softmax(of)).max(axis=1)
            ece, *_ = by_loop(confidence, of.argmax(axis=1) == labels, 15)
            assert one["ece"] == pytest.approx(ece, abs=1e-4)
    assert held_out["calibration"]["scaled"]["nll"] < held_out["calibration"]["nll"]
    assert list(result.rows) == ["wrong"]
    assert test["class_scores"]["balanced_accuracy"] == pytest.approx(np.mean(list(test["per_class"].values())))
    assert [row.get("calibration") for row in read_evaluations(workdir)][-1] == test["calibration"]


def test_what_evaluate_prints(evaluated, tmp_path, capsys):
    workdir, found = evaluated
    copy = shutil.copytree(workdir, tmp_path / "run")
    row = found["test"][1]
    assert cli.main(["evaluate", "--workdir", str(copy), "--split", "test"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    scores, own = row["class_scores"], row["calibration"]
    assert f"balanced accuracy {scores['balanced_accuracy']:.4f}, macro precision {scores['precision']:.4f}" in text
    assert f"macro F1 {scores['f1']:.4f}" in text and "accuracy (recall)" in text
    three = scores["by_class"]["3"]
    assert f"3 │ {three['n']} │ {three['recall']:.4f} │ {three['precision']:.4f} │ {three['f1']:.4f}" in text
    assert f"15 bins of equal width, 360 images of test: {100 * own['ece']:.2f} %" in text
    assert f"temperature {own['temperature']:.4g}, fitted on the held-out part" in text


def test_predictions_at_a_temperature(evaluated, tmp_path, capsys):
    workdir, found = evaluated
    network, fitted = Trained(workdir), found["validation"][1]["calibration"]["temperature"]
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
    for number, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    logits = network.map(network.apply, images[..., None])[0]
    for given, value in ((None, 1), ("logged", fitted), (5, 5), (0.5, 0.5)):
        rows = network.predict([tmp_path], temperature=given)
        assert [row["label"] for row in rows] == [network.classes[k] for k in logits.argmax(axis=1)]
        told = [list(row["probabilities"].values()) for row in rows]
        np.testing.assert_allclose(told, jax.nn.softmax(logits / value), rtol=1e-4, atol=1e-6)
    assert abs(fitted - 1) > 0.02
    command = ["predict", "--workdir", str(workdir), str(tmp_path), "--json"]
    assert cli.main([*command, "--temperature", "logged"]) == 0
    assert json.loads(capsys.readouterr().out)["predictions"] == network.predict([tmp_path], temperature="logged")
    for value in ("0", "nan", "-1", "cold"):
        assert cli.main([*command, f"--temperature={value}"]) == 2
        assert "it is a number above 0, or" in capsys.readouterr().err
    assert cli.main([*command, "--temperature=2", "--output", str(tmp_path / "out")]) == 2
    assert "--temperature is of class probabilities" in capsys.readouterr().err


def test_no_temperature_is_logged(tiny_run):
    with pytest.raises(InputError, match=r"no temperature of step \d+: evaluate it with --split validation"):
        Trained(tiny_run).predict([__file__], temperature="logged")


def test_picture_and_report(evaluated, tmp_path, capsys):
    workdir, found = evaluated
    copy = shutil.copytree(workdir, tmp_path / "run")
    (copy / "evaluations.jsonl").unlink()
    assert cli.main(["visualize", "calibration", "--workdir", str(copy), "--split", "test"]) == 0
    assert (copy / "pictures" / "calibration.png").is_file()
    logged = read_evaluations(copy)
    assert [row["split"] for row in logged] == ["validation", "test"]
    own = logged[1]["calibration"]
    assert own["ece"] == found["test"][1]["calibration"]["ece"] and own["scaled"]
    page = (copy / "report.html").read_text()
    assert "Reliability diagram on test" in page and f"{100 * own['scaled']['ece']:.2f} %" in page
    assert cli.main(["visualize", "calibration", "--workdir", str(copy), "--split", "test"]) == 0
    assert len(read_evaluations(copy)) == 2  # all was logged
