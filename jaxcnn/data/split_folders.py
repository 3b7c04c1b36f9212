"""Whether a folder holds splits or classes, and the questions where it could be either."""

import os

from jaxcnn.data.image_files import find_images, folders

SPLIT_FOLDERS = ("train", "val", "valid", "validation", "test")
LIKE_SPLITS = {"training": "train", "testing": "test", "eval": "val", "evaluation": "val"}
LAYOUT = "expected PATH/<class>/**/<image>, or PATH/train/<class>/**/<image> and the same below PATH/val (or test)"


def split_roots(root: str) -> dict[str, str]:
    """Returns {split: its folder}; a folder without splits is all `train`.

    Raises:
      ValueError: it is no folder, holds no class folders, or could be read in two ways (says which).
    """
    if not os.path.isdir(root):
        raise ValueError(f"{root} is not a folder: {LAYOUT}")
    found = folders(root)
    if not found:
        raise ValueError(f"{root} holds no class folders: {LAYOUT}")
    named = [name for name in SPLIT_FOLDERS if name in found]
    with_classes = {name: os.path.join(root, name) for name in named if folders(os.path.join(root, name))}
    others = [name for name in found if name not in SPLIT_FOLDERS]
    if any(map(_has_class_folders, with_classes.values())):
        _check_apart(root, list(with_classes), [name for name in others if _has_images(os.path.join(root, name))])
        return with_classes
    if not others and len(named) > 1:
        raise ValueError(f"{root}: {', '.join(named)} hold images, but no class folders: {LAYOUT}")
    _check_spelling(root, found)
    return {"train": root}


def nested(root: str) -> str | None:
    """The folder whose folders are likely the classes of one that has a single class; None where there is none.

    It lies below folders that hold one folder each: an archive was unpacked into a folder of its own name.
    """
    below = os.path.abspath(os.path.expanduser(root))
    if os.path.isdir(os.path.join(below, "train")):
        below = os.path.join(below, "train")
    while len(found := folders(below)) == 1:
        below = os.path.join(below, found[0])
    return below if found else None


def _check_apart(root, splits, classes):
    if classes:
        raise ValueError(
            f"{root} can be read in two ways: {', '.join(splits)} would be a split by name and holds folders, but "
            f"{', '.join(classes)} beside it hold images too. If those are classes, give {', '.join(splits)} another "
            "name, or put all of them into one folder `train`; if they are not, move them elsewhere"
        )


def _check_spelling(root, found):
    """Raises ValueError where every folder is a split under another name: they would be taken for classes."""
    meant = {name: LIKE_SPLITS.get(name.lower(), name.lower()) for name in found}
    if all(split in SPLIT_FOLDERS for split in meant.values()) and all(
        _has_class_folders(os.path.join(root, name)) for name in found
    ):
        names = ", ".join(f"{name} to {split}" for name, split in meant.items())
        raise ValueError(f"{root}: {', '.join(found)} would be classes. If they are splits, rename {names}")


def _has_class_folders(folder):
    return any(_has_images(os.path.join(folder, name)) for name in folders(folder))


def _has_images(folder):
    return next(find_images(folder), None) is not None
