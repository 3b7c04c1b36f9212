"""Pairs of people in folds: LFW's file with its damage named, the images that it names, pairs drawn by seed."""

import numpy as np
import pytest

from jaxcnn import InputError
from jaxcnn.transfer.faces.pairs import draw_pairs, locate_pairs, read_pairs

LFW = """2\t2
Ann_Lee\t1\t3
Bo\t2\t1
Ann_Lee\t3\tBo\t1
Bo\t3\tAnn_Lee\t1
Cy\t1\t2
Dee\t1\t2
Cy\t1\tDee\t1
Dee\t2\tCy\t2
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "pairs.txt").write_text(text)
        return tmp_path / "pairs.txt"

    return write


def test_the_format_of_lfw(written):
    found = read_pairs(written(LFW))
    assert [pair.fold for pair in found] == [0] * 4 + [1] * 4
    assert found[0][:2] == (("Ann_Lee", 1), ("Ann_Lee", 3)) and found[3][:2] == (("Bo", 3), ("Ann_Lee", 1))
    assert found == read_pairs(written(LFW.replace("\t", "  ") + "\n\n"))  # blanks, and empty lines at the end


def test_names_with_blanks_need_tabs(written):
    assert read_pairs(written(LFW.replace("Ann_Lee", "Ann Lee")))[0].first == ("Ann Lee", 1)


@pytest.mark.parametrize(
    "line, by, said",
    [
        (1, "ten 3", "line 1 is 'ten 3'. A file of pairs begins with the number of folds"),
        (1, "1 4", "line 1: there is 1 fold"),
        (1, "2 3", "8 lines follow the first, which says 2 folds of 3 pairs of each kind: 12 would be right"),
        (2, "Ann_Lee 1 Bo 3", "line 2: .* is in fold 1 where pairs of one person"),
        (4, "Ann_Lee 1 3", "line 4: .* is in fold 1 where pairs of two people"),
        (3, "Bo 2 x", "line 3: 'Bo 2 x' has a number of an image that is none"),
        (3, "Bo 2 2", "line 3: 'Bo 2 2' pairs an image with itself"),
        (4, "Bo 1 Bo 2", "line 4: .* should be a pair of two people, but both are Bo"),
        (7, "Bo 1 2", "line 7: Bo is in fold 2, and in fold 1 on line 3. No person may be in two folds"),
    ],
)
def test_damage_is_named(written, line, by, said):
    lines = LFW.splitlines()
    lines[line - 1] = by
    with pytest.raises(InputError, match=said):
        read_pairs(written("\n".join(lines)))


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="photo is no text in UTF-8"):
        read_pairs(tmp_path / "photo")
    with pytest.raises(InputError, match="nowhere cannot be read"):
        read_pairs(tmp_path / "nowhere")


def test_files_are_found_by_the_number_that_their_names_end_in(written):
    people = ["Ann_Lee", "Bo", "Cy", "Dee"] * 3
    files = [f"/faces/{person}/{person}_{row // 4 + 1:04}.jpg" for row, person in enumerate(people)]
    pairs = locate_pairs(read_pairs(written(LFW)), people, files)
    np.testing.assert_array_equal(pairs.first, [0, 5, 8, 9, 2, 3, 2, 7])
    np.testing.assert_array_equal(pairs.second, [8, 1, 1, 0, 6, 7, 3, 6])
    np.testing.assert_array_equal(pairs.same, [True, True, False, False] * 2)
    with pytest.raises(InputError, match=r"line 2 of the pairs: there is no person 'Ann_Lee'; .*'Ann_Li'"):
        locate_pairs(read_pairs(written(LFW)), [x.replace("Lee", "Li") for x in people], files)
    with pytest.raises(InputError, match="line 2 of the pairs: Ann_Lee has no image 3"):
        locate_pairs(read_pairs(written(LFW)), people[:8], files[:8])
    with pytest.raises(InputError, match=r"line 2 .*image 1 of Ann_Lee may be Ann_Lee_0001.jpg and 1.png"):
        locate_pairs(read_pairs(written(LFW)), [*people, "Ann_Lee"], [*files, "/faces/Ann_Lee/1.png"])


def test_pairs_are_drawn_by_seed_and_no_person_is_in_two_folds():
    label = np.random.default_rng(0).permutation(np.repeat(np.arange(12), [2, 3, 4] * 4))
    pairs = draw_pairs(label, folds=4, each=5, seed=3)
    np.testing.assert_array_equal(pairs.same, ([True] * 5 + [False] * 5) * 4)
    np.testing.assert_array_equal(pairs.fold, np.repeat(np.arange(4), 10))
    np.testing.assert_array_equal(label[pairs.first] == label[pairs.second], pairs.same)
    assert (pairs.first != pairs.second).all()
    drawn = {frozenset(pair) for pair in zip(pairs.first, pairs.second, strict=True)}
    assert len(drawn) == 40
    folds = [set(label[pairs.first[own]]) | set(label[pairs.second[own]]) for own in map(pairs.of_fold, range(4))]
    assert sum(map(len, folds)) == len(set.union(*folds))
    for one, other in zip(pairs, draw_pairs(label, folds=4, each=5, seed=3), strict=True):
        np.testing.assert_array_equal(one, other)
    other = draw_pairs(label, folds=4, each=5, seed=4)
    assert (other.first != pairs.first).any()
    assert set(label[other.first[other.of_fold(0)]]) != folds[0]  # people are dealt out anew


def test_every_pair_of_a_fold_can_be_drawn():
    label = np.array([0, 1, 0, 1, 0, 2, 3, 2, 3, 2])  # two folds of two people, 3 and 2 images: 4 pairs of one person
    pairs = draw_pairs(label, folds=2, each=4, seed=np.random.SeedSequence(1).entropy)
    for fold in range(2):
        own = pairs.of_fold(fold) & pairs.same
        people = np.unique(label[pairs.first[own]])
        rows = np.flatnonzero(np.isin(label, people))
        every = {frozenset((a, b)) for a in rows for b in rows if a < b and label[a] == label[b]}
        drawn = {frozenset(pair) for pair in zip(pairs.first[own], pairs.second[own], strict=True)}
        assert drawn <= every and len(drawn) == 4


def test_too_little_to_draw_from_is_named():
    with pytest.raises(InputError, match="3 people are too few for 2 folds"):
        draw_pairs(np.arange(3), folds=2, each=1, seed=0)
    with pytest.raises(InputError, match="fold 1 has 2 pairs of one person, and 3 are to be drawn"):
        draw_pairs(np.repeat(np.arange(4), 2), folds=2, each=3, seed=0)
    with pytest.raises(InputError, match="1 folds of 3 pairs: there are 2 folds at least"):
        draw_pairs(np.repeat(np.arange(4), 2), folds=1, each=3, seed=0)
