"""The ledger is well formed, and every number in it that can be recomputed comes out."""

import dataclasses
import json
import re

import pytest

from jaxcnn.analysis.audit import FAULTS, Network, audit, show
from jaxcnn.analysis.ledger import LEDGER, QUANTITIES, STATUSES, UNPRINTED, Entry
from jaxcnn.architectures import CLAIMS
from jaxcnn.errors import InputError

BY_NAME = {entry.name: entry for entry in LEDGER}
SUBJECTS = sorted({entry.subject for entry in LEDGER})
LONG = {"resnet101", "resnet152", "resnet110", "resnet1202", "plain110", "inception_v3", "inception_v4"}
LONG |= {subject for subject in SUBJECTS if subject.startswith(("densenet", "inception_resnet"))} - {"densenet_40_12"}


def _of(*names):
    return [BY_NAME[name] for name in names]


def _entry(printed, *, quantity="parameters", status="match", value=None, **options):
    formula = None if value is None else lambda: value
    return Entry("lectures/x", "lectures", quantity, printed, "a test", status, formula=formula, **options)


@pytest.mark.parametrize("subject", [pytest.param(s, marks=[pytest.mark.long] * (s in LONG)) for s in SUBJECTS])
def test_no_number_drifts(subject):
    rows = audit([subject])
    assert rows
    assert [(row.entry.name, row.recomputed, row.detail) for row in rows if row.verdict in FAULTS] == []
    assert all(row.verdict == ("absent" if row.detail else row.entry.status) for row in rows)
    assert all(row.entry.from_images for row in rows if row.detail)
    recomputable = [row for row in rows if row.entry.measure or row.entry.formula]
    assert all(row.recomputed is not None for row in recomputable)


def test_every_architecture_is_in_the_ledger_or_nobody_prints_a_number_of_it():
    assert set(SUBJECTS) - {"lectures"} <= set(CLAIMS), "the ledger names architectures that do not exist"
    unknown = set(CLAIMS) - set(SUBJECTS) - set(UNPRINTED)
    assert {name for name in unknown if not name.endswith("_small")} == set()
    assert set(UNPRINTED) <= set(CLAIMS) - set(SUBJECTS)
    assert all(UNPRINTED.values())


def test_every_entry_says_what_it_is():
    assert len(BY_NAME) == len(LEDGER), "two entries have one name"
    for entry in LEDGER:
        assert entry.name.startswith(f"{entry.subject}/")
        assert entry.quantity in QUANTITIES and entry.status in STATUSES, entry.name
        assert entry.source and entry.printed, entry.name
        recomputed = [way for way in (entry.measure, entry.formula, entry.from_images) if way]
        assert len(recomputed) <= 1 and bool(entry.from_images) <= bool(entry.data), entry.name
        if entry.status == "match":
            assert recomputed and not entry.reason, entry.name
        if entry.status == "protocol":
            assert not recomputed and entry.protocol, entry.name
        if entry.quantity == "error":
            assert entry.data and entry.protocol and entry.images, entry.name
            assert all(part is None or 0 < part < 100 for part in entry.value), entry.name


def test_every_erratum_keeps_both_values_and_a_reason():
    errata = [entry for entry in LEDGER if entry.status == "erratum"]
    assert errata
    for entry in errata:
        assert entry.true is not None and len(entry.reason) > 10, entry.name
        assert not entry.agrees(entry.true), f"{entry.name} is no erratum"


def test_the_errata_that_every_reader_should_know_are_there():
    known = {entry.name: (entry.value, entry.true) for entry in LEDGER if entry.status == "erratum"}
    assert known["lenet5/connections"] == (340_908, 122_304 + 5_880 + 151_600 + 2_000 + 48_120 + 10_164)
    assert known["vgg_d/activations/bytes/96MB"] == (96e6, 4 * known["vgg_d/activations"][1])
    assert known["googlenet/lecture/bottleneck/358M"] == (
        358e6,
        784 * (2 * 256 * 64 + 256 * 128 + 256 * 64) + 784 * (9 * 64 * 192 + 25 * 64 * 96),
    )
    assert known["googlenet/conv1/parameters"] == (2.7 * 1024, 7 * 7 * 3 * 64)
    assert known["googlenet/conv1/macs"] == (34e6, 7 * 7 * 3 * 64 * 112 * 112)
    for row, widths in {"4c": (512, 128, 128, 256, 24, 64, 64), "5a": (832, 256, 160, 320, 32, 128, 128)}.items():
        c, one, three_reduce, three, five_reduce, five, projection = widths
        weights = (
            c * (one + three_reduce + five_reduce + projection) + 9 * three_reduce * three + 25 * five_reduce * five
        )
        assert known[f"googlenet/inception_{row}/parameters"][1] == weights
    assert "googlenet/inception_4d/parameters" in known


@pytest.mark.parametrize(
    ("printed", "options", "agree", "differ"),
    [
        ("0.27M", {}, (265_000, 269_722, 275_000), (264_999, 275_001)),
        ("7.2M", {}, (7_150_000, 7_250_000), (7_149_999, 7_260_000)),
        ("60,000", {}, (60_000,), (59_999, 60_001)),
        ("60M", {"to": 10e6}, (60_965_224, 55e6, 65e6), (54.9e6, 65.1e6)),
        ("1.8e9", {}, (1_814_073_344,), (1_850_000_001,)),
        ("112K", {"kilo": 1024}, (114_688,), (112_000,)),
        ("<25M", {}, (24_999_999,), (25_000_000,)),
        ("28%", {}, (27.5, 28.49), (27.4, 28.6)),
        ("29MB", {"kilo": 1024}, (30_380_704,), (29_000_000,)),
    ],
)
def test_a_printed_number_claims_as_much_as_its_digits(printed, options, agree, differ):
    entry = _entry(printed, **options)
    assert all(entry.agrees(value) for value in agree)
    assert not any(entry.agrees(value) for value in differ)


def test_shapes_and_errors_are_read_as_they_are_printed():
    assert _entry("28x28x6", quantity="shape").value == (28, 28, 6)
    assert _entry("40.7/18.2", quantity="error").value == (40.7, 18.2)
    assert _entry("-/6.67", quantity="error").value == (None, 6.67)
    assert _entry("8.75", quantity="error").value == (8.75,)
    assert _entry("batch 128", quantity="recipe").value is None
    with pytest.raises(ValueError, match="not a number"):
        _entry("many").agrees(3)


def test_a_changed_number_is_found(capsys):
    honest = _of("lenet5/parameters", "lenet5/C3/parameters", "lenet5/connections", "lenet5/S2/shape")
    assert show(audit(ledger=honest)) == 0
    out = capsys.readouterr().out
    assert "3 match, 1 erratum, 0 drift" in out
    assert "lenet5/connections: printed 340,908, right 340,068; not the sum" in out
    for entry, change in (
        (honest[0], {"printed": "60,001"}),
        (honest[1], {"measure": lambda network: network.parameters("C3") + 900}),
        (honest[2], {"true": 340_069}),
        (honest[3], {"printed": "14x14x7"}),
    ):
        rows = audit(ledger=[dataclasses.replace(entry, **change)])
        assert [row.verdict for row in rows] == ["drift"]
        assert show(audit(ledger=[dataclasses.replace(entry, **change)])) == 1
        out = capsys.readouterr().out
        assert f"drift: {entry.name}" in out and "1 drift" in out


def test_an_erratum_that_came_out_right_is_drift():
    assert audit(ledger=[_entry("24M", status="erratum", value=24_100_000, true=24_100_000)])[0].verdict == "drift"
    assert audit(ledger=[_entry("24M", status="erratum", value=15_237_608, true=15_237_608)])[0].verdict == "erratum"
    assert audit(ledger=[_entry("2.5", status="erratum", value=3.7, true=3.61)])[0].verdict == "drift"


def test_what_does_not_exist_is_missing_by_name(capsys):
    gone = dataclasses.replace(BY_NAME["lenet5/parameters"], subject="lenet6", name="lenet6/parameters")
    layer = dataclasses.replace(BY_NAME["lenet5/C3/parameters"], measure=lambda network: network.parameters("C4"))
    stage = dataclasses.replace(BY_NAME["lenet5/S2/shape"], measure=lambda network: network.shape("S3"))
    assert [row.verdict for row in audit(ledger=[gone, layer, stage])] == ["missing"] * 3
    assert show(audit(ledger=[gone, layer, stage])) == 1
    out = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "no architecture lenet6" in out and "no layer C4" in out and "no stage S3" in out


def test_a_number_of_a_data_set_is_absent_where_that_is_not(tmp_path, capsys):
    options = {"from_images": lambda train, test: len(train) + len(test)}
    here, away = (dataclasses.replace(_entry("1,797"), data=name, **options) for name in ("digits", "tfds:mnist"))
    rows = audit(ledger=[here, away], data_dir=str(tmp_path))
    assert [(row.verdict, row.recomputed) for row in rows] == [("match", 1797), ("absent", None)]
    assert show(rows) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        f"absent: lectures/x: printed 1,797, tfds:mnist cannot be read: tfds:mnist is not prepared in {tmp_path}" in out
    )
    assert "1 match, 1 absent, 0 drift" in out
    assert audit(ledger=[dataclasses.replace(here, printed="1,798")])[0].verdict == "drift"


@pytest.mark.long  # 70,000 images are decoded
def test_pca_on_mnist_is_the_number_of_the_paper(shared):
    (row,) = audit(ledger=_of("autoencoder_mlp/pca/error"), data_dir=str(shared / "tfds"))
    assert row.verdict == "match" and row.recomputed == pytest.approx(13.8663, abs=1e-4)


def test_names_choose_and_an_unknown_one_is_refused():
    assert {row.entry.subject for row in audit(["lenet5", "lectures"])} == {"lenet5", "lectures"}
    with pytest.raises(InputError, match="did you mean 'lenet5'"):
        audit(["lenet"])


def test_json_has_every_row(capsys):
    assert show(audit(["lenet5"]), as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == 0
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["lenet5/connections"]["recomputed"] == rows["lenet5/connections"]["true"] == 340_068
    assert rows["lenet5/connections"]["printed"] == "340,908" and rows["lenet5/connections"]["status"] == "erratum"


def test_parts_of_a_network_sum_to_the_whole():
    network = Network("lenet5")
    layers = ("C1", "S2", "C3", "S4", "C5", "F6")
    assert sum(network.parameters(layer) for layer in layers) == network.parameters() == 60_000
    assert network.parameters(without=("C5", "F6")) == 60_000 - 48_120 - 10_164
    assert network.parameters("C1", weights=True) == 150
    assert sum(network.macs(layer) for layer in ("C1", "C3", "C5", "F6")) == network.macs() == 325_680
    assert network.units("C1", "F6") == 28 * 28 * 6 + 84
    assert network.units() == 32 * 32 + 4_704 + 1_176 + 1_600 + 400 + 120 + 84 + 10


def test_a_part_is_a_module_and_not_the_beginning_of_its_name():
    network = Network("googlenet")
    assert network.parameters("inception_3a/5x5", weights=True) == 25 * 16 * 32
    assert network.macs("inception_3a/5x5") == 28 * 28 * 25 * 16 * 32
    assert network.parameters("conv2") == 64 * 192 * 9 + 192
