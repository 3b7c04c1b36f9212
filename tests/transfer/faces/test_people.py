"""The verbs verify and identify: by a network, a folder of people or features, with what they are refused for."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxcnn import InputError, Trained, cli
from jaxcnn.data import DataError, load
from jaxcnn.transfer.faces.pairs import draw_pairs
from jaxcnn.transfer.faces.people import default_stage, embed, people_of_network
from jaxcnn.transfer.faces.verification import similarity, verify
from jaxcnn.transfer.feature_file import write_features
from jaxcnn.transfer.features import Extractor, split_records

PAIRS = """2 2
p0 1 2
p1 1 2
p0 1 p1 2
p1 3 p0 2
p2 1 2
p3 3 4
p2 1 p3 3
p3 1 p2 2
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A folder of four people, five images each: digits of four classes, in the format of ORL's faces."""
    root = tmp_path_factory.mktemp("people")
    digits = load("digits", "train[:300]", image_size=(8, 8)).read(range(300))
    for person in range(4):
        (root / f"p{person}").mkdir()
        for number, row in enumerate(np.flatnonzero(digits["label"] == person)[:5], start=1):
            Image.fromarray(digits["image"][row, ..., 0]).save(root / f"p{person}" / f"{number}.pgm")
    (root / "pairs.txt").write_text(PAIRS)
    return root


@pytest.fixture(scope="module")
def features(tiny_run, people):
    """(train.npz, test.npz) of the run's last stage, 80 images each."""
    trained = Trained(tiny_run)
    extractor = Extractor(trained, default_stage(trained))
    for split in ("train", "test"):
        records, found_by = split_records(trained, split)
        part = {**found_by, "split": f"{split}[:80]"}
        records = load(part["name"], part["split"], image_size=(8, 8))
        write_features(extractor, records, part, people / f"{split}.npz")
    return people / "train.npz", people / "test.npz"


@pytest.fixture
def said(capsys):
    """said("verify", ...) is what the verb prints."""

    def run(*arguments):
        assert cli.main([str(argument) for argument in arguments]) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(capsys):
    def run(*arguments):
        assert cli.main([str(argument) for argument in arguments]) == 2
        return " ".join(capsys.readouterr().err.split())

    return run


def width(path):
    with Image.open(path) as image:
        return image.width


def test_pairs_of_a_folder_are_verified_and_drawn(tiny_run, people, said, tmp_path):
    given = ["verify", "--workdir", tiny_run, "--data", f"folder:{people}", "--pairs", people / "pairs.txt"]
    row = json.loads(said(*given, "--curve", tmp_path / "roc.png", "--worst", tmp_path / "new/worst.png", "--json"))
    trained = Trained(tiny_run)
    files = [[people / f"p{pair[0]}" / f"{pair[1]}.pgm" for pair in side] for side in (FIRST, SECOND)]
    vectors = [Extractor(trained, "pool1")(trained.read_images(side)[1]).reshape(8, -1) for side in files]
    same = np.array([True, True, False, False] * 2)
    expected = verify(similarity(*vectors), draw_pairs(np.arange(8) // 2, folds=2, each=2, seed=0)._replace(same=same))
    assert row["stage"] == "pool1" and (row["same"], row["different"]) == (4, 4)
    assert row["area"] == pytest.approx(expected.area) and row["folds"] == list(expected.by_folds.accuracies)
    assert row["equal_error_rate"] == pytest.approx(expected.equal_error_rate)
    assert width(tmp_path / "roc.png") > 300 and width(tmp_path / "new" / "worst.png") > 300
    printed = said(*given)
    assert f"accuracy {row['accuracy']:.4f}, standard error {row['standard_error']:.4f}, over 2 folds" in printed
    assert "too few pairs" in " ".join(printed.split())


FIRST = ((0, 1), (1, 1), (0, 1), (1, 3), (2, 1), (3, 3), (2, 1), (3, 1))
SECOND = ((0, 2), (1, 2), (1, 2), (0, 2), (2, 2), (3, 4), (3, 3), (2, 2))


def test_a_file_of_features_gives_what_its_network_does(tiny_run, features, said):
    draw = ("--draw", "3x10", "--seed", "5", "--json")
    of_file = json.loads(said("verify", "--data", features[1], *draw, "--metric", "euclidean"))
    direct = people_of_network(Trained(tiny_run), "pool1", split="test")
    pairs = draw_pairs(direct.label[:80], folds=3, each=10, seed=5)
    scores = similarity(direct.vectors(pairs.first), direct.vectors(pairs.second), metric="euclidean")
    assert of_file["area"] == pytest.approx(verify(scores, pairs).area)
    whitened = json.loads(said("verify", "--data", features[1], *draw, "--whiten", "8"))
    assert whitened["area"] != of_file["area"] and whitened["whiten"] == 8


def test_flips_and_crops_are_averaged(tiny_run):
    trained = Trained(tiny_run)
    options = {"name": "digits", "split": "test"}
    rows = np.array([3, 40, 7])
    plain, flipped = (people_of_network(trained, "pool1", flip=flip, **options) for flip in (False, True))
    images = plain.images(rows)
    extractor = Extractor(trained, "pool1")
    both = [extractor(np.ascontiguousarray(x)).reshape(3, -1) for x in (images, images[:, :, ::-1])]
    np.testing.assert_allclose(plain.vectors(rows), both[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(flipped.vectors(rows), np.mean(both, axis=0), rtol=1e-6, atol=1e-6)
    crops = people_of_network(trained, "pool1", crops=10, **options).vectors(rows)
    mirrored = people_of_network(trained, "pool1", crops=10, **options)
    assert crops.shape == plain.vectors(rows).shape
    np.testing.assert_allclose(crops[::-1], mirrored.vectors(rows[::-1]), rtol=1e-5, atol=1e-6)
    assert np.abs(crops - plain.vectors(rows)).max() > 1e-3


def test_the_result_of_task_embedding_is_called_so(tiny_run):
    trained = Trained(tiny_run)
    with trained.config.unlocked():
        trained.config.task.name = "embedding"
    assert default_stage(trained) == "embedding"
    one, other = (people_of_network(trained, stage, name="digits") for stage in ("embedding", "logits"))
    rows = np.arange(3)
    np.testing.assert_array_equal(one.vectors(rows), other.vectors(rows))
    np.testing.assert_allclose(np.linalg.norm(one.vectors(rows), axis=1), 1, rtol=1e-6)
    trained.task = trained.task._replace(describe=None)
    with pytest.raises(InputError, match="use verify, identify or features"):
        trained.predict([])


def test_all_images_of_a_folder_are_its_people(tiny_run, people):
    found = people_of_network(Trained(tiny_run), "pool1", name=f"folder:{people}")
    assert len(found.label) == 20 and sorted(set(found.people)) == ["p0", "p1", "p2", "p3"]
    assert sorted(found.files()) == sorted(str(people / f"p{p}" / f"{n}.pgm") for p in range(4) for n in range(1, 6))


def test_probes_are_identified_in_a_gallery(features, said, tmp_path):
    given = ["identify", "--gallery", features[0], "--probe", features[1]]
    row = json.loads(
        said(
            *given,
            "--unknown",
            "3",
            "--seed",
            "1",
            "--json",
            "--curve",
            tmp_path / "match.png",
            "--worst",
            tmp_path / "wrong.png",
        )
    )
    assert row["people"] == 7 and row["known"] + row["unknown"] == 80 and row["unknown"] > 0
    assert [share["at"] for share in row["ranks"]] == [1, 5] and row["ranks"][0]["rate"] > 0.5
    assert [share["n"] for share in row["detected"]] == [row["known"]] * 2
    assert width(tmp_path / "match.png") > 300 and width(tmp_path / "wrong.png") > 300
    printed = said(*given, "--whiten", "4", "--metric", "euclidean")
    assert "10 people" in printed and "closed set, rank 10" in printed and "open set" not in printed


def test_an_image_of_the_gallery_that_is_a_probe_too_does_not_find_itself(tiny_run, people, said, refused, tmp_path):
    probes = tmp_path / "probes"
    for person in ("p0", "p1"):
        (probes / person).mkdir(parents=True)
        (probes / person / "1.pgm").symlink_to(people / person / "1.pgm")
    given = ["identify", "--workdir", tiny_run, "--probe", f"folder:{probes}", "--gallery"]
    row = json.loads(said(*given, f"folder:{people}", "--json", "--worst", tmp_path / "wrong.png"))
    assert (row["left_out"], row["people"], row["known"]) == (2, 4, 2)
    assert "2 images of the gallery are probes, and left out" in said(*given, f"folder:{people}")
    assert "every image of the gallery is a probe too" in refused(*given, f"folder:{probes}/../probes")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify", "--data", "folder:x", "--draw", "2x2"), "folder:x is no file of features"),
        (("verify", "--data", "test.npz", "--draw", "2by2"), "--draw is '2by2'; it is FOLDSxPAIRS"),
        (("verify", "--data", "test.npz", "--draw", "2x2", "--flip"), "--flip is of a network"),
        (("verify", "--data", "test.npz", "--draw", "2x2", "--whiten", "-1"), "--whiten is -1; it is at least 1"),
        (("verify", "--data", "test.npz", "--draw", "2x2", "--seed", "-1"), "--seed is -1; it is 0 or more"),
        (("verify", "--data", "test.npz", "--draw", "2x2", "--curve", "roc.doc"), "roc.doc cannot be drawn"),
        (
            ("verify", "--data", "test.npz", "--pairs", "pairs.txt"),
            "test.npz is no folder, and --pairs names its files",
        ),
        (
            ("identify", "--gallery", "test.npz", "--probe", "train.npz", "--unknown", "10"),
            "the gallery holds 10 people",
        ),
        (("identify", "--gallery", "test.npz", "--probe", "test.npz"), "every image would find itself"),
    ],
)
def test_what_does_not_fit_is_named(arguments, words, features, people, refused):
    found = {"train.npz": features[0], "test.npz": features[1], "pairs.txt": people / "pairs.txt"}
    assert words in refused(*(found.get(argument, argument) for argument in arguments)).replace(f"{people}/", "")


def test_other_vectors_do_not_fit_a_gallery(tiny_run, features, refused):
    given = ("--workdir", tiny_run, "--stage", "logits", "--gallery", "test", "--probe", features[1])
    assert "vectors of the gallery have 10 numbers, those of the probes" in refused("identify", *given)


def test_a_vector_that_is_no_number_is_named(tiny_run):
    trained = Trained(tiny_run)
    trained.variables["params"]["conv1_1"]["bias"] = np.full(4, np.nan, np.float32)
    with pytest.raises(InputError, match=r"the vectors of 2 of 2 images are not finite, first of .* 5"):
        people_of_network(trained, "pool1", name="digits", split="test").vectors(np.array([5, 6]))


@pytest.mark.parametrize("crops", [1, 10])
def test_an_image_that_cannot_be_read_has_no_vector(crops, tiny_run, tmp_path):
    """data.on_error "skip" leaves it out of training; a vector of a black image would count as one of a person."""
    for number in range(3):
        (tmp_path / "p").mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8), 50 * number, np.uint8)).save(tmp_path / "p" / f"{number}.png")
    (tmp_path / "p" / "1.png").write_bytes(b"no image")
    records = load(f"folder:{tmp_path}", "train", image_size=(8, 8), channels=1, on_error="skip")
    trained = Trained(tiny_run)
    with pytest.raises(DataError, match=r"p/1\.png cannot be read, and has no vector"):
        embed(Extractor(trained, default_stage(trained)), records, np.arange(3), crops=crops)
