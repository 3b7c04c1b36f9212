"""Images with boxes in the layout of COCO: `coco:PATH`, one JSON file or a folder of them."""

import os
import re
from collections import defaultdict

from jaxcnn.data.detection.table import Box, Boxed, Listed, Table, within
from jaxcnn.errors import InputError
from jaxcnn.files import check_keys, check_unique, damage_named, read_json

LAYOUT = "expected a file as instances.json, or a folder with annotations/instances_SPLIT.json"
INSTANCES = re.compile(r"instances_(.+)\.json")


class COCO(Boxed):
    """A Source over COCO's JSON of boxes.

    `coco:PATH/instances.json` is one split, `train`; `coco:PATH` of a folder with annotations/instances_train2017.json
    and instances_val2017.json has the splits `train` and `val`: the year is left out. The images lie in a folder of the
    split's name (train2017) or in `images`, beside the JSON or above it, or there themselves. Records are in the order
    of the file. Classes are the categories in the order of their ids, gaps closed. Crowds are kept and ignored.

    Args:
      path: of the file or the folder.
    Raises:
      InputError: a file is missing, damaged or lacks a key, annotations belong to no image, two files differ in their
        categories, or no image is found. An image whose boxes are damaged is a record that cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        root = os.path.abspath(os.path.expanduser(path))
        found, tables = {}, {}
        for split, file in _files(root).items():
            content = read_json(file)
            with damage_named(file, f"{LAYOUT}."):
                check_keys(content, ("images", "annotations", "categories"), file, LAYOUT)
                found[file] = _categories(content["categories"], file)
                if (first := next(iter(found.values()))) != found[file]:
                    said = f"other categories than {next(iter(found))}: {first} and {found[file]}"
                    raise InputError(f"{file} has {said}.")
                tables[split] = Table(_listed(content, file, list(first)))
        super().__init__(f"coco:{path}", next(iter(found.values())).values(), tables)


def _files(root):
    """{split: path of its JSON}."""
    if os.path.isfile(root):
        return {"train": root}
    for folder in (os.path.join(root, "annotations"), root):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        years = {name: found[1] for name in names if (found := INSTANCES.fullmatch(name))}
        if years:
            splits = [re.sub(r"\d{4}$", "", year) or year for year in years.values()]
            if len(set(splits)) < len(splits):  # of two years
                splits = years.values()
            return {split: os.path.join(folder, name) for split, name in zip(splits, years, strict=True)}
    raise InputError(f"{root} holds no annotations of COCO: {LAYOUT}.")


def _categories(categories, file):
    """{id: name}, in the order of the ids."""
    for number, one in enumerate(categories):
        check_keys(one, ("id", "name"), f"{file}: category number {number}", LAYOUT)
    check_unique([one["id"] for one in categories], file, "the category id")
    return {one["id"]: str(one["name"]) for one in sorted(categories, key=lambda one: one["id"])}


def _listed(content, file, ids):
    of_image, images = defaultdict(list), {}
    for number, one in enumerate(content["images"]):
        check_keys(one, ("id", "file_name", "height", "width"), f"{file}: image number {number}", LAYOUT)
        if not all(isinstance(one[side], int | float) and one[side] > 0 for side in ("height", "width")):
            sides = f"height {one['height']!r} and width {one['width']!r}"
            raise InputError(f"{file}: image number {number} has {sides}; both are numbers of pixels.")
        images[one["id"]] = one
    check_unique([one["id"] for one in content["images"]], file, "the image id")
    for number, one in enumerate(content["annotations"]):
        check_keys(one, ("image_id", "category_id", "bbox"), f"{file}: annotation number {number}", LAYOUT)
        if one["image_id"] not in images:
            said = f"annotation {one.get('id', number)} is of image {one['image_id']}"
            raise InputError(f"{file}: {said}, which is not among its images.")
        of_image[one["image_id"]].append(one)
    if not images:
        raise InputError(f"{file} lists no images.")
    folder = _folder(file, [one["file_name"] for one in images.values()])
    numbers = {number: label for label, number in enumerate(ids)}
    paths = {key: os.path.join(folder, one["file_name"]) for key, one in images.items()}
    return [_image(paths[key], one, of_image[key], numbers, file) for key, one in images.items()]


def _folder(file, names):
    """The folder in which the images lie: the first of the usual ones that holds one of the first images."""
    beside = os.path.dirname(file)
    name = found[1] if (found := INSTANCES.fullmatch(os.path.basename(file))) else "images"
    below = (name, os.path.join("images", name), "images", "")
    places = [os.path.join(place, own) for place in (beside, os.path.dirname(beside)) for own in below]
    places = list(dict.fromkeys(os.path.normpath(place) for place in places))
    for place in places:
        if any(os.path.exists(os.path.join(place, name)) for name in names[:100]):
            return place
    raise InputError(f"the images of {file}, {names[0]} and so on, are in none of {', '.join(places)}.")


def _image(path, image, annotations, numbers, file):
    boxes = []
    for one in annotations:
        try:
            if one["category_id"] not in numbers:
                raise ValueError(f"its category_id {one['category_id']} is not among the categories")
            edges = within(_edges(one["bbox"]), (image["height"], image["width"]))
        except ValueError as error:
            return Listed(path, [], f"{file}, annotation {one.get('id', '')} of image {image['id']}: {error}")
        area = float(one.get("area") or 0) or (edges[2] - edges[0]) * (edges[3] - edges[1])
        boxes.append(Box(edges, numbers[one["category_id"]], bool(one.get("iscrowd", 0)), area))
    return Listed(path, boxes, size=(image["height"], image["width"]))


def _edges(box):
    """Edges of (x, y, width, height), from 0."""
    try:
        x, y, width, height = map(float, box)
    except (TypeError, ValueError):
        raise ValueError(f"its bbox is {box!r}, not four numbers (x, y, width, height)") from None
    return x, y, x + width, y + height
