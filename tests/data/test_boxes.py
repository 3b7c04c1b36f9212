"""Images with boxes: VOC's and COCO's layout, composed scenes, and what is said of damage."""

import json
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxcnn.data import DataError, default_splits, load, read_all
from jaxcnn.data.detection.scenes import scenes
from jaxcnn.errors import InputError

SIZE = (30, 40)  # of the images, height and width


def objects(*rows):
    """XML of (name, xmin, ymin, xmax, ymax, difficult)."""
    form = (
        "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
        "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part><difficult>{}</difficult></object>"
    )
    return "".join(form.format(*row) for row in rows)


ROWS = {
    "a1": [("dog", 3, 5, 12, 20, 0), ("cat", 1, 1, 40, 30, 1)],
    "a2": [("cat", 10, 10, 10, 10, 0)],
    "a3": [],
    "a4": [("dog", 2.5, 3.5, 20.5, 21.5, 0)],
}


@pytest.fixture
def voc(tmp_path):
    """A folder in VOC's layout, of four images; write(name, rows) changes an annotation."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)

    def write(name, rows, size=SIZE):
        sides = f"<size><width>{size[1]}</width><height>{size[0]}</height></size>" if size else ""
        (tmp_path / "Annotations" / f"{name}.xml").write_text(f"<annotation>{sides}{objects(*rows)}</annotation>")

    for number, (name, rows) in enumerate(ROWS.items()):
        write(name, rows)
        image = np.zeros((*SIZE, 3), np.uint8)
        image[..., 0], image[..., 1], image[..., 2] = 6 * np.arange(40)[None], 8 * np.arange(30)[:, None], number
        Image.fromarray(image).save(tmp_path / "JPEGImages" / f"{name}.png")
    for split, names in {"train": "a3\na1\n", "val": "a2\n", "test": "a4\n\n", "dog_train": "a1  1\na3 -1\n"}.items():
        (tmp_path / "ImageSets" / "Main" / f"{split}.txt").write_text(names)
    return tmp_path, write


def test_corners_of_voc_name_pixels_from_one(voc):
    root, _ = voc
    records = load(f"voc:{root}", "train", image_size=SIZE)
    assert records.classes == ("cat", "dog") and records.fields["boxes"] == ((2, 4), np.float32)
    assert default_splits(f"voc:{root}") == {"train": "train", "validation": "val", "test": "test"}
    empty, full = records[0], records[1]
    assert not empty["box_mask"].any() and not empty["boxes"].any() and empty["image"][0, 0, 2] == 2
    # columns 3 to 12 and rows 5 to 20, counted from 1, are the edges 2 to 12 and 4 to 20
    assert full["boxes"].tolist() == [[2, 4, 12, 20], [0, 0, 40, 30]]
    assert full["box_label"].tolist() == [1, 0] and full["box_mask"].tolist() == [True, True]
    assert full["box_ignored"].tolist() == [False, True] and full["box_area"].tolist() == [160, 1200]
    x1, y1, x2, y2 = full["boxes"][0].astype(int)
    part = full["image"][y1:y2, x1:x2]
    assert (part[0, 0, :2].tolist(), part[-1, -1, :2].tolist()) == ([6 * 2, 8 * 4], [6 * 11, 8 * 19])
    one = load(f"voc:{root}", "val", image_size=SIZE)[0]
    assert one["boxes"][0].tolist() == [9, 9, 10, 10] and one["box_mask"].tolist() == [True, False]
    assert load(f"voc:{root}", "test", image_size=SIZE)[0]["boxes"][0].tolist() == [1.5, 2.5, 20.5, 21.5]
    assert records.notes() == ["train: 1 of 2 images have no boxes"]
    copied = pickle.loads(pickle.dumps(records))
    assert copied[1]["boxes"].tolist() == full["boxes"].tolist()


def test_without_lists_all_annotated_images_are_train(voc):
    root, write = voc
    before = load(f"voc:{root}", "train", image_size=SIZE).class_digests()
    write("a1", [("dog", 3, 5, 12, 21, 0)])
    assert load(f"voc:{root}", "train", image_size=SIZE).class_digests()["train"] != before["train"]
    shutil.copytree(root, root / "moved")
    assert load(f"voc:{root}/moved", "test", image_size=SIZE).class_digests()["test"] == before["test"]
    shutil.rmtree(root / "ImageSets")
    records = load(f"voc:{root}", "train", image_size=SIZE)
    assert [records[i]["image"][0, 0, 2] for i in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("dog", 3, 5, 43, 20, 0), r"its box from \(2, 4\) to \(43, 20\) reaches out .* 40 wide and 30 h"),
        (("dog", 12, 5, 3, 20, 0), r"its box from \(11, 4\) to \(3, 20\) has no area"),
        (("dog", 41, 5, 41, 20, 0), r"its box from \(40, 4\) to \(41, 20\) lies outside of the image"),
        (("dog", 3, "", 12, 20, 0), r"<bndbox> holds '3', '', '12', '20', not four numbers"),
        (("dog", 3, "nan", 12, 20, 0), "its box .* has no area"),
        (("", 3, 5, 12, 20, 0), "it has no name, the class"),
    ],
)
def test_damaged_boxes_are_named_or_skipped_with_their_image(voc, row, said):
    root, write = voc
    write("a1", [ROWS["a1"][0], row])
    with pytest.raises(DataError, match=r"a1\.png: .*Annotations/a1\.xml, object 2 '\w*': " + said):
        read_all(load(f"voc:{root}", "train", image_size=SIZE))
    kept = read_all(load(f"voc:{root}", "train", image_size=SIZE, on_error="skip"))
    assert kept["mask"].tolist() == [1, 0] and not kept["box_mask"].any()


def test_a_pixel_over_the_border_is_cut_off(voc):
    root, write = voc
    write("a1", [("dog", 0, 0, 41, 31, 0)])  # of a tool that counts from 0, or beyond
    assert load(f"voc:{root}", "train", image_size=SIZE)[1]["boxes"][0].tolist() == [0, 0, 40, 30]


def test_an_image_of_another_size_than_its_boxes_is_named(voc, coco):
    root, write = voc
    write("a1", ROWS["a1"], (300, 400))
    said = "the image is 40 wide and 30 high, but its annotation is of one that is 400 wide and 300 high"
    with pytest.raises(InputError, match=f"a1.png: {said}"):
        read_all(load(f"voc:{root}", "train", image_size=SIZE))
    root, write = coco
    path = write("train")
    image = Image.fromarray(np.zeros((*SIZE, 3), np.uint8))
    (exif := Image.Exif())[0x0112] = 6  # a quarter turn
    image.save(root / "train" / "9.png", exif=exif)
    with pytest.raises(InputError, match=r"is 30 wide and 40 high, but .* is 40 wide and 30 high: an EXIF tag turns"):
        read_all(load(f"coco:{path}", "train", image_size=SIZE))


def test_files_that_are_missing_or_no_annotations_are_named(voc):
    root, write = voc
    (root / "JPEGImages" / "a4.png").unlink()
    with pytest.raises(DataError, match=r"JPEGImages/a4\.jpg: the file cannot be read \(No such file"):
        load(f"voc:{root}", "test", image_size=SIZE)[0]
    write("a4", ROWS["a4"], size=None)
    with pytest.raises(DataError, match="<size> does not say how wide"):
        load(f"voc:{root}", "test", image_size=SIZE)[0]
    (root / "Annotations" / "a4.xml").write_text("<annotation>")
    with pytest.raises(InputError, match=r"a4\.xml cannot be read as an annotation"):
        load(f"voc:{root}", "test", image_size=SIZE)
    (root / "Annotations" / "a4.xml").unlink()
    with pytest.raises(InputError, match=r"test lists a4, 1 in all, without a file in .*Annotations"):
        load(f"voc:{root}", "test", image_size=SIZE)
    shutil.rmtree(root / "JPEGImages")
    with pytest.raises(InputError, match=r"no folder .*JPEGImages: expected PATH/JPEGImages"):
        load(f"voc:{root}", "test", image_size=SIZE)


@pytest.fixture
def coco(tmp_path):
    """A folder in COCO's layout with two files; write(name, changes) writes one of them."""

    def write(name, **changes):
        content = {
            "images": [{"id": i, "file_name": f"{i}.png", "height": 30, "width": 40} for i in (9, 4)],
            "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
            "annotations": [
                {"id": 1, "image_id": 4, "category_id": 18, "bbox": [2.5, 4, 10, 16.25], "area": 99.5, "iscrowd": 0},
                {"id": 2, "image_id": 4, "category_id": 3, "bbox": [0, 0, 40, 30.4], "iscrowd": 1},
            ],
        }
        (tmp_path / "annotations").mkdir(exist_ok=True)
        path = tmp_path / "annotations" / f"instances_{name}.json"
        path.write_text(json.dumps({**content, **changes}))
        (tmp_path / name).mkdir(exist_ok=True)
        for number in (4, 9):
            Image.fromarray(np.full((*SIZE, 3), number, np.uint8)).save(tmp_path / name / f"{number}.png")
        return path

    return tmp_path, write


def test_boxes_of_coco_are_corner_and_sides_from_zero(coco):
    root, write = coco
    train = write("train2017")
    write("val2017")
    records = load(f"coco:{root}", "train+val", image_size=SIZE)
    assert records.classes == ("car", "dog") and len(records) == 4  # in the order of their ids, 3 and 18
    first, second = records[0], records[1]
    assert first["image"][0, 0, 0] == 9 and not first["box_mask"].any()
    assert second["boxes"].tolist() == [[2.5, 4, 12.5, 20.25], [0, 0, 40, 30]]
    assert second["box_label"].tolist() == [1, 0] and second["box_ignored"].tolist() == [False, True]
    assert second["box_area"].tolist() == [99.5, 1200]
    assert default_splits(f"coco:{root}") == {"train": "train[:90%]", "validation": "train[90%:]", "test": "val"}
    alone = load(f"coco:{train}", "train", image_size=SIZE)
    assert alone[1]["boxes"].tolist() == second["boxes"].tolist()
    assert default_splits(f"coco:{train}")["test"] == "train[90%:]"


DOG = {"id": 1, "image_id": 4, "category_id": 18, "bbox": [2.5, 4, 10, 16.25]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"annotations": [{**DOG, "bbox": [2, 3, 0, 5]}]},
            r"train\.json, annotation 1 of image 4: its box .* has no area",
        ),
        ({"annotations": [{**DOG, "bbox": [2, 3, 5]}]}, r"its bbox is \[2, 3, 5\], not four numbers"),
        ({"annotations": [{**DOG, "bbox": [39, 3, 5, 5]}]}, r"from \(39, 3\) to \(44, 8\) reaches out of the image"),
        ({"annotations": [{**DOG, "category_id": 7}]}, "its category_id 7 is not among the categories"),
        ({"annotations": [{**DOG, "image_id": 7}]}, "annotation 1 is of image 7, which is not among its images"),
        ({"annotations": [{"image_id": 4}]}, r"train\.json: annotation number 0 lacks 'category_id', 'bbox'"),
        ({"images": []}, "annotation 1 is of image 4"),
        ({"images": [], "annotations": []}, "lists no images"),
        (
            {"annotations": [{**DOG, "image_id": [4]}]},
            r"train\.json is damaged: unhashable type: 'list'. expected a file",
        ),
        (
            {"images": [{"id": 4, "file_name": "4.png", "height": None, "width": 4}]},
            "image number 0 has height None and",
        ),
        ({"images": 2 * [{"id": 4, "file_name": "4.png", "height": 30, "width": 40}]}, "has the image id 4 twice"),
        ({"categories": 2 * [{"id": 18, "name": "dog"}]}, "has the category id 18 twice"),
        (
            {"images": [{"id": 4, "file_name": "gone.png", "height": 3, "width": 4}]},
            r"gone\.png and so on, are in none of",
        ),
    ],
)
def test_damage_of_coco_is_named(coco, changes, said):
    path = coco[1]("train", **changes)
    with pytest.raises(InputError, match=said):
        read_all(load(f"coco:{path}", "train", image_size=SIZE))


def test_an_area_that_is_null_is_that_of_the_box(coco):
    path = coco[1]("train", annotations=[{**DOG, "area": None}])
    assert load(f"coco:{path}", "train", image_size=SIZE)[1]["box_area"].tolist() == [10 * 16.25]


def test_files_of_coco_that_do_not_fit_are_named(coco):
    root, write = coco
    with pytest.raises(InputError, match="holds no annotations of COCO: expected a file"):
        load(f"coco:{root}", "train", image_size=SIZE)
    write("train")
    write("val", categories=[{"id": 18, "name": "hound"}, {"id": 3, "name": "car"}])
    with pytest.raises(InputError, match=r"val\.json has other categories than .*train\.json"):
        load(f"coco:{root}", "train", image_size=SIZE)
    write("val", info={}).write_text("[1]")
    with pytest.raises(InputError, match=r"instances_val\.json is damaged: it holds list"):
        load(f"coco:{root}", "train", image_size=SIZE)
    (root / "train" / "4.png").unlink()
    (root / "annotations" / "instances_val.json").unlink()
    with pytest.raises(DataError, match=r"train/4\.png: the file cannot be read"):
        load(f"coco:{root}", "train", image_size=SIZE)[1]


def test_the_real_subsets_are_read(shared):
    """The numbers of their READMEs."""
    voc, coco = (f"{shared}/detection/{name}" for name in ("voc2007_subset", "coco256"))
    found = [load(f"voc:{voc}", split, image_size=(64, 64), fit="inside") for split in ("train", "val", "test")]
    assert [len(records) for records in found] == [220, 40, 140]
    read = [read_all(records) for records in found]
    assert sum((own["box_mask"] & ~own["box_ignored"]).sum() for own in read) == 930
    assert sum(own["box_ignored"].sum() for own in read) == 210
    assert (len(found[0].classes), found[2].notes()) == (17, ["test has classes that train lacks: aeroplane, dog"])
    train = read_all(load(f"coco:{coco}", "train", image_size=(64, 64), fit="inside"))
    there = train["box_mask"]
    assert (there.sum(), train["box_ignored"].sum(), len(np.unique(train["box_label"][there]))) == (939, 10, 71)
    assert read_all(load(f"coco:{coco}", "val", image_size=(64, 64), fit="inside"))["box_mask"].sum() == 898


@pytest.fixture(scope="module")
def few_scenes():
    return scenes(counts={"train": 60, "test": 20})


def test_scenes_are_a_function_of_seed_split_and_number(few_scenes):
    again, other = scenes(counts={"train": 10, "test": 3}), scenes(1, counts={"train": 10})
    (one,), (same,), (new,) = (source.fetch("train", [7]) for source in (few_scenes, again, other))
    np.testing.assert_array_equal(one[0], same[0])
    assert one[1]["boxes"].tolist() == same[1]["boxes"].tolist()
    assert (one[0] != new[0]).any() and (one[0] != few_scenes.fetch("test", [7])[0][0]).any()
    boxes = few_scenes.fetch("train", [0])[0][1]
    assert [boxes["boxes"][:2].tolist(), boxes["box_label"].tolist()] == PINNED


PINNED = [[[15, 32, 30, 54], [44, 15, 59, 35]], [5, 4, 2, 1, 0]]


def test_scenes_hold_digits_of_many_sizes_within_their_boxes(few_scenes):
    values = [few_scenes.fetch("train", [i])[0][1] for i in range(60)]
    counts = np.array([own["box_mask"].sum() for own in values])
    assert set(counts) == {1, 2, 3, 4, 5}
    boxes = np.concatenate([own["boxes"][own["box_mask"]] for own in values])
    assert boxes.min() >= 0 and boxes.max() <= 64
    heights = boxes[:, 3] - boxes[:, 1]
    assert heights.min() >= 8 and heights.max() <= 33 and np.ptp(heights) > 15
    assert set(np.concatenate([own["box_label"][own["box_mask"]] for own in values])) == set(range(10))
    overlaps = []
    for own in values:
        here = own["boxes"][own["box_mask"]]
        for i, a in enumerate(here):
            for b in here[:i]:
                sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
                overlaps.append(np.maximum(sides, 0).prod() / min((a[2:] - a[:2]).prod(), (b[2:] - b[:2]).prod()))
    assert 0.2 < max(overlaps) <= 0.3


def test_the_name_scenes_loads_them():
    records = load("scenes", "test[:4]")
    assert records.shape == (64, 64, 3) and records.classes == tuple("0123456789")
    assert records[0]["view"].tolist() == [0, 0, 64, 64] and records[0]["box_mask"].any()
    large = load("scenes", "test[:4]", image_size=(128, 160), fit="inside")[0]
    assert large["view"].tolist() == [0, 0, 64, 80] and not large["image"][:, 128:].any()


def shown(voc, **options):
    """The image a1 of the fixture, 30 x 40, its boxes in pixels of what is shown, and the result."""
    record = load(f"voc:{voc[0]}", "train", fit="inside", **options)[1]
    top, left, height, width = record["view"]
    scale = np.array([record["image"].shape[1] / width, record["image"].shape[0] / height] * 2)
    return record, (record["boxes"] - np.array([left, top, left, top])) * scale


def test_the_whole_image_is_scaled_inside_and_its_boxes_find_it(voc):
    """60 x 80 in 100 x 80: twice as large, 40 rows of zeros below; each box begins and ends with its colours."""
    record, boxes = shown(voc, image_size=(100, 80))
    assert record["view"].tolist() == [0, 0, 50, 40] and record["size"].tolist() == [30, 40]
    assert not record["image"][60:].any() and record["image"][:60, :, 0].any()
    np.testing.assert_allclose(boxes[0], [4, 8, 24, 40], atol=1e-4)
    inner = record["image"][9:39, 5:23].astype(int)  # columns 2 to 11 are red 12 to 66, rows 4 to 19 green 32 to 152
    assert abs(inner[0, 0, :2] - [12, 32]).max() <= 4 and abs(inner[-1, -1, :2] - [66, 152]).max() <= 4


def test_the_short_side_is_bounded_and_odd_sizes_keep_their_scale(voc):
    record, boxes = shown(voc, image_size=(100, 100), resize=45)  # 45 x 60: by the short side
    np.testing.assert_allclose(record["view"], [0, 0, 100 / 1.5, 100 / 1.5], rtol=1e-6)
    assert record["image"][44, 59].any() and not record["image"][45:].any() and not record["image"][:, 60:].any()
    np.testing.assert_allclose(boxes[1], [0, 0, 60, 45], rtol=1e-6)
    record, boxes = shown(voc, image_size=(50, 50), resize=45)  # 38 x 50: by the long side, and 37.5 rounded
    np.testing.assert_allclose(boxes[1], [0, 0, 50, 38], rtol=1e-6)
    assert record["image"][37].any() and not record["image"][38:].any()
    np.testing.assert_allclose(record["view"], [0, 0, 50 / 38 * 30, 40], rtol=1e-6)
