"""Images with text and sequences as images: strings of digits, tables of texts, the toy problems."""

import json
import pickle
import re

import numpy as np
import pytest
from PIL import Image

from jaxcnn.data import default_splits, load
from jaxcnn.data.canvas import INK, Canvas, stroke
from jaxcnn.data.digits import digits
from jaxcnn.data.text.sentences import WORDS, sentences
from jaxcnn.data.text.sequences import add, copy, reverse
from jaxcnn.data.text.strings import strings
from jaxcnn.errors import InputError

PATTERN = r"an? (small |)(\w+) (left|right|above|below)(?: of)? an? (small |)(\w+) <end>"


def test_strings_are_digits_side_by_side_and_a_function_of_seed_split_and_number():
    source, again, other = strings(counts={"train": 40, "test": 9}), strings(counts={"train": 3}), strings(seed=1)
    (image, values), (same, _), (new, _) = (one.fetch("train", [2])[0] for one in (source, again, other))
    assert (image == same).all() and (image != new).any() and (image != source.fetch("test", [2])[0][0]).any()
    glyphs, labels, ends, lengths = digits().images("train")[..., 0], digits().labels("train"), set(), set()
    for image, values in source.fetch("train", range(40)):
        text, x = values["text"], 0
        lengths.add(length := int((text > 0).sum()))
        assert (text[:length] > 0).all() and text.max() <= 10
        for token in text[:length]:
            own = glyphs[labels == token - 1]
            windows = [(place, image[y : y + 8, place : place + 8, 0]) for place in range(x, x + 3) for y in range(5)]
            x = next(place for place, window in windows if (own == window[None]).all(axis=(1, 2)).any()) + 8
        ends.add(x)
        assert not image[:, x:].any()
    assert lengths == {1, 2, 3, 4, 5} and len(ends) > 10
    assert source.classes == tuple("0123456789")


def found_digits(image, ground, axis):
    """[(label, side)] of the two digits in a scene, along the axis, by the strokes that fit best."""
    change = np.abs(image - ground).sum(axis=-1)
    there = change.max(axis=1 - axis) > 0.2
    gap = next(i for i in range(there.argmax() + 4, 48) if not there[i : i + 1].any() and there[i:].any())
    source = digits()
    strokes = [(label, side, *stroke(glyph, side))
               for side in (9, 10, 11, 16, 17, 18, 19, 20)
               for glyph, label in zip(source.images("train"), source.labels("train"), strict=True)]  # fmt: skip
    for part in np.split(change, [gap], axis=axis):
        ink = part / np.quantile(part[part > 0.2], 0.9) > INK
        rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
        ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        shares = {}
        for label, side, own, (x1, y1, x2, y2) in strokes:
            own = own[y1:y2, x1:x2] > INK
            if own.shape == ink.shape:
                shares[label, side] = max(shares.get((label, side), 0), (own & ink).sum() / (own | ink).sum())
        yield max(shares, key=shares.get)


@pytest.mark.long
def test_more_sentences_begin_with_the_same_scenes():
    more, some = load("sentences_20000", "train"), load("sentences", "train")
    assert (len(more), len(some)) == (20_000, 6_000)
    np.testing.assert_array_equal(more.read(range(5990, 6000))["image"], some.read(range(5990, 6000))["image"])


def test_sentences_say_which_digits_are_where():
    source, again, other = sentences(counts={"train": 40, "test": 3}), sentences(counts={"train": 3}), sentences(1)
    (image, _), (same, _), (new, _) = (one.fetch("train", [2])[0] for one in (source, again, other))
    assert (image == same).all() and (image != new).any() and (image != source.fetch("test", [2])[0][0]).any()
    names, inverse = ("", *source.classes), {"left": "right", "right": "left", "above": "below", "below": "above"}
    relations, checked = set(), 0
    for number, (image, values) in enumerate(source.fetch("train", range(40))):
        texts = [" ".join(names[token] for token in row if token) for row in values["captions"]]
        one, two = (re.fullmatch(PATTERN, text).groups() for text in texts)
        assert two == (*one[3:], inverse[one[2]], *one[:2])
        assert not any(re.search(r"\ba eight|\ban (?!eight)", text) for text in texts)
        relations.add(one[2])
        if number < 6:
            canvas = Canvas(np.random.Philox(key=[0, number]), 48)
            found = list(found_digits(image / 255, canvas.ground(texture=0.4), axis=one[2] in ("left", "right")))
            said = [(small == "small ", WORDS.index(digit)) for small, digit in (one[:2], one[3:])]
            assert [(side < 12, label) for label, side in found] == said[:: 1 if one[2] in ("left", "above") else -1]
            checked += 1
    assert relations == set(inverse) and checked == 6
    assert load("sentences", "test[:2]").shape == (48, 48, 3)


def test_sequences_to_copy_and_to_turn_round():
    for make, step in ((copy, 1), (reverse, -1)):
        source = make(counts={"train": 30})
        assert source.classes[:3] == ("<begin>", "<end>", "a")
        for image, values in source.fetch("train", range(30)):
            text = values["text"]
            length = int(text.argmin() if (text == 0).any() else len(text)) - 1
            symbols = image[:length, :, 0].argmax(axis=1)
            assert (text[:length] - 3)[::step].tolist() == symbols.tolist() and text[length] == 2
            assert not text[length + 1 :].any() and not image[length:].any() and image.sum() == 255 * length
    (one,), (same,), (other,) = (copy(s, counts={"train": n}).fetch("train", [1]) for s, n in ((0, 2), (0, 5), (1, 5)))
    assert (one[0] == same[0]).all() and (one[0] != other[0]).any()


def test_the_adding_problem_marks_a_number_in_each_half():
    source = add(11, counts={"train": 3000, "test": 5})
    images, value = source.images("train")[..., 0].astype(float) / 255, source.fetch("train", range(3000))
    value = np.array([values["value"] for _, values in value])
    assert (images[:, :5, 1].sum(axis=1) == 1).all() and (images[:, 5:, 1].sum(axis=1) == 1).all()
    np.testing.assert_allclose((images[..., 0] * images[..., 1]).sum(axis=1), value, atol=1e-6)
    assert images[..., 1].any(axis=0).all()
    assert np.square(value - 1).mean() == pytest.approx(1 / 6, abs=0.01)
    assert load("add_100", "test[:2]").shape == (100, 2, 1)


@pytest.fixture
def table(tmp_path):
    """write(text): the folder of a table, beside four images."""
    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.new("L", (9, 5), 40 * number).save(tmp_path / "images" / f"{number}.png")

    def write(text):
        (tmp_path / "labels.tsv").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_a_table_of_texts(table):
    root = table("0.png\tcab\ttrain\n\n1.png\ta\ttrain\n2.png\täab\ttest\n3.png\tb c\ttest\n")
    train, test = (load(f"text:{root}", split, image_size=(5, 9), channels=1) for split in ("train", "test"))
    assert train.classes == ("a", "b", "c", "<unknown>") and train.fields == {"text": ((3,), np.int32)}
    found = {int(record["image"][0, 0, 0]): record["text"].tolist() for part in (train, test) for record in part}
    assert found == {0: [3, 1, 2], 40: [1, 0, 0], 80: [4, 1, 2], 120: [2, 4, 3]}
    assert test.notes() == ["test: 2 letters that train lacks (  ä) are one token, <unknown>"] and not train.notes()
    assert default_splits(f"text:{root}/labels.tsv") == {
        "train": "train[:90%]",
        "validation": "train[90%:]",
        "test": "test",
    }
    assert pickle.loads(pickle.dumps(train))[0]["text"].tolist() == train[0]["text"].tolist()
    before = train.class_digests()
    root = table("\ufeff0.png\tcab\n1.png\tb\n")  # as spreadsheets mark UTF-8
    after = load(f"text:{root}", "train", image_size=(5, 9))
    assert after.classes == ("a", "b", "c") and after.class_digests()["train"] != before["train"]


@pytest.mark.parametrize("text, said", [
    ("0.png,cab\n", r"labels.tsv, line 1: '0.png,cab' has 1 parts; a line is FILE, a tab"),
    ("0.png\ta\n0.png\tb\n", "line 2: 0.png is named before"),
    ("0.png\t\ttrain\n", "line 1: .* lacks a file, a text or a split"),
    ("\n", "names no images"),
])  # fmt: skip
def test_a_damaged_table_is_named(table, text, said):
    with pytest.raises(InputError, match=said):
        load(f"text:{table(text)}", "train", image_size=(5, 9))


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"labels.tsv cannot be read as a table of texts"):
        load(f"text:{tmp_path}", "train", image_size=(5, 9))


def captioned(root, images, annotations):
    """A folder with captions.json and an image of each file name."""
    (root / "images").mkdir()
    for number, one in enumerate(images):
        Image.new("L", (9, 5), 10 * number).save(root / "images" / one["file_name"])
    (root / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return root


def test_captions_in_the_layout_of_coco(tmp_path):
    images = [{"id": 7 * n, "file_name": f"{n}.png", "split": "dev" if n == 2 else "train"} for n in range(3)]
    said = {0: ["A dog's tail.", "A dog, a dog!"], 7: ["A cat and a dog; a cat"], 14: ["a bird"]}
    annotations = [{"image_id": image, "caption": text} for image, texts in said.items() for text in texts]
    root = captioned(tmp_path, images, annotations)
    train, held = (load(f"captions:{root}", split, image_size=(5, 9), channels=1) for split in ("train", "validation"))
    assert train.classes == ("<begin>", "<end>", "<unknown>", "a")  # dog, seen three times, is too rare
    assert train.fields == {"captions": ((2, 8), np.int32)}
    found = {int(record["image"][0, 0, 0]): record["captions"].tolist() for part in (train, held) for record in part}
    nothing = [0] * 8
    assert found == {
        0: [[4, 3, 3, 2, 0, 0, 0, 0], [4, 3, 4, 3, 2, 0, 0, 0]],
        10: [[4, 3, 3, 4, 3, 4, 3, 2], nothing],
        20: [[4, 3, 2, 0, 0, 0, 0, 0], nothing],
    }
    (note,) = held.notes()
    assert note.startswith("validation: 1 of 2 words of captions are none of the 1 words of the vocabulary")


@pytest.mark.parametrize("annotation, said", [
    ({"image_id": 1}, "annotation number 0 lacks 'caption': expected"),
    ({"image_id": 5, "caption": "a"}, "annotation number 0 is of image 5, which is not listed"),
    (None, "1 images have no caption, 0.png among them"),
])  # fmt: skip
def test_damaged_captions_are_named(tmp_path, annotation, said):
    root = captioned(tmp_path, [{"id": 1, "file_name": "0.png"}], [annotation] if annotation else [])
    with pytest.raises(InputError, match=said):
        load(f"captions:{root}", "train", image_size=(5, 9))
