"""Images with boxes in the layout of PASCAL VOC: `voc:PATH`."""

import os
import re
import xml.etree.ElementTree as ElementTree

from jaxcnn.data.detection.table import Box, Boxed, Listed, Table, within
from jaxcnn.data.image_files import is_image
from jaxcnn.errors import InputError
from jaxcnn.files import check_unique, damage_named

LAYOUT = "expected PATH/JPEGImages/NAME.jpg, PATH/Annotations/NAME.xml and PATH/ImageSets/Main/SPLIT.txt, names in it"
NAMED = 3  # problems that are named


class VOC(Boxed):
    """A Source over PASCAL VOC's folders, as annotation tools write them too.

    A split is a file of ImageSets/Main that lists names alone (not one of a class, as cat_train.txt); without
    ImageSets all annotated images are `train`. Records are in the order of the file. Classes are all names that occur,
    sorted, in VOC's sets their usual order. Corners are read as VOC's: 1-based pixels, both inside the box. `difficult`
    objects are kept and ignored.

    Args:
      path: the folder.
    Raises:
      InputError: the folder has another layout, or an annotation is missing or no XML. An image whose boxes are damaged
        is a record that cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._root = os.path.abspath(os.path.expanduser(path))
        images = self._listing("JPEGImages", is_image)
        annotations = self._listing("Annotations", lambda name: name.endswith(".xml"))
        splits = _splits(os.path.join(self._root, "ImageSets", "Main")) or {"train": sorted(annotations)}
        for split, names in splits.items():
            if missing := [name for name in names if name not in annotations]:
                raise InputError(
                    f"voc:{path}: {split} lists {', '.join(missing[:NAMED])}, {len(missing)} in all, without a file in "
                    f"{os.path.join(self._root, 'Annotations')}: add the annotations, or remove the names."
                )
        read = {name: _objects(annotations[name]) for name in sorted(set().union(*splits.values()))}
        classes = sorted({label for size, objects in read.values() for label, *_ in objects if label})
        numbers = {label: number for number, label in enumerate(classes)}
        tables = {
            split: Table(_listed(self._image(images, name), annotations[name], *read[name], numbers) for name in names)
            for split, names in splits.items()
        }
        super().__init__(f"voc:{path}", classes, tables)

    def _listing(self, folder, wanted):
        """{name without its ending: path} of the files of a folder."""
        folder = os.path.join(self._root, folder)
        if not os.path.isdir(folder):
            raise InputError(f"there is no folder {folder}: {LAYOUT}.")
        names = sorted(name for name in os.listdir(folder) if wanted(name) and not name.startswith("."))
        return {os.path.splitext(name)[0]: os.path.join(folder, name) for name in names}

    def _image(self, images, name):
        """The path of an image; of a missing one the path that it has in VOC, which the error of reading names."""
        return images.get(name, os.path.join(self._root, "JPEGImages", f"{name}.jpg"))


def _splits(folder):
    """{split: names} of the files in ImageSets/Main that hold one name a line."""
    if not os.path.isdir(folder):
        return {}
    found = {}
    for name in sorted(os.listdir(folder)):
        split, ending = os.path.splitext(name)
        if ending == ".txt" and re.fullmatch(r"\w+", split):
            path = os.path.join(folder, name)
            with damage_named(path, "It is text in UTF-8."), open(path, encoding="utf-8") as file:
                rows = [line.split() for line in file if line.strip()]
            if rows and all(len(row) == 1 for row in rows):
                found[split] = [row[0] for row in rows]
                check_unique(found[split], path, "the name")
    if not found:
        raise InputError(f"{folder} holds no file that lists names of images alone: {LAYOUT}.")
    return found


def _objects(path):
    """((height, width) or None, [(class, corners, difficult)]) of an annotation; corners as texts, checked later."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError) as error:
        raise InputError(f"{path} cannot be read as an annotation: {error}.") from error
    size = [root.findtext(f"size/{side}", "") for side in ("height", "width")]
    size = tuple(map(int, size)) if all(side.strip().isdigit() and int(side) for side in size) else None
    corners = ("xmin", "ymin", "xmax", "ymax")
    return size, [
        (
            one.findtext("name", "").strip(),
            tuple(one.findtext(f"bndbox/{corner}", "") for corner in corners),
            one.findtext("difficult", "0").strip() == "1",
        )
        for one in root.iter("object")
    ]


def _listed(image, annotation, size, objects, numbers):
    boxes = []
    for place, (label, corners, difficult) in enumerate(objects, 1):
        try:
            if not label:
                raise ValueError("it has no name, the class")
            if size is None:
                raise ValueError("<size> does not say how wide and high the image is")
            edges = within(_edges(corners), size)
        except ValueError as error:
            return Listed(image, [], f"{annotation}, object {place} {label!r}: {error}")
        area = (edges[2] - edges[0]) * (edges[3] - edges[1])
        boxes.append(Box(edges, numbers[label], difficult, area))
    return Listed(image, boxes, size=size or (0, 0))


def _edges(corners):
    """Edges of corners that name the first and the last pixel, from 1."""
    try:
        xmin, ymin, xmax, ymax = map(float, corners)
    except ValueError:
        raise ValueError(f"<bndbox> holds {', '.join(map(repr, corners))}, not four numbers") from None
    return xmin - 1, ymin - 1, xmax, ymax
