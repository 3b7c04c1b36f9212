"""The record that a run keeps of its data, and how other data differ from it."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxcnn import data


def about_data(records: Mapping[str, Any], *, shape: Sequence[int]) -> dict[str, Any]:
    """The content of data.json: the record of a run's data.

    Args:
      records: {split: Records}, "train" among them.
      shape: (h, w, c) of the images that the network gets.
    Returns:
      {"classes": names in the order of the labels, "shape": [h, w, c], "records": {split: number of images}}; of a
      folder "files" too: {class: digest of its files}; where an example holds anything but a label, "fields":
      {name: [shape, dtype]}; where classes were thinned "kept": {class: [images that stayed, images that there were]};
      and of a folder of more images to train on, which "records" leave out, "added": {"name", "records", "files"}.
    """
    train = records["train"]
    files, fields = train.class_digests(), train.fields_at(shape)
    counts, more = {split: len(found) for split, found in records.items()}, {}
    if isinstance(train, data.Joined):
        counts["train"], more = train.own_count, _about_joined(train)
    return {
        "classes": list(train.classes),
        "shape": list(shape),
        "records": counts,
        **({"files": files} if files else {}),
        **({} if fields == data.LABEL else {"fields": _as_json(fields)}),
        **more,
    }


def _about_joined(train):
    kept, added = {name: list(counts) for name, counts in train.kept.items()}, train.added
    if added is None:
        return {"kept": kept}
    about = {"name": added.name, "records": len(added), "files": added.class_digests()}
    return {"added": about, **({"kept": kept} if kept else {})}


def data_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The differences between the data that a run began with and those there are now, as sentences without full stops.

    Args:
      then, now: as `about_data` gives them; a run of an older version kept less.
    Returns:
      A list of str, empty where a network trained on the one may resume on the other.
    """
    changes = []
    if list(then["classes"]) != list(now["classes"]):
        named = (", ".join(about["classes"]) or "none" for about in (then, now))
        changes.append("its classes were {} and are {}".format(*named))
    held = [about.get("fields", _as_json(data.LABEL)) for about in (then, now)]
    if held[0] != held[1]:
        changes.append("an example held {} and holds {}".format(*map(_in_words, held)))
    changes += _moved_files(then.get("files", {}), now.get("files", {}))
    if then.get("records") and then["records"] != now["records"]:
        changes.append(f"its numbers of images were {_counts(then['records'])} and are {_counts(now['records'])}")
    return changes + _changes_of_added(then.get("added"), now.get("added"))


def _changes_of_added(then, now):
    if not (then and now):  # whether a run adds images its config says
        return []
    changes = _moved_files(then["files"], now["files"])
    if set(then["files"]) != set(now["files"]):
        names = (", ".join(about["files"]) for about in (then, now))
        changes.append("their classes were {} and are {}".format(*names))
    if then["records"] != now["records"]:
        changes.append(f"there were {then['records']:,} of them and are {now['records']:,}")
    return [f"of the images that config.data.add adds {change}" for change in changes]


def _as_json(fields):
    return {name: [list(shape), str(dtype)] for name, (shape, dtype) in fields.items()}


def _in_words(fields):
    return ", ".join(f"{name} {dtype} {tuple(shape)}" for name, (shape, dtype) in fields.items())


def _moved_files(then, now):
    """The classes whose files lie in another class now, or are others."""
    if not (then and now):
        return []
    changed = [name for name in then if now.get(name) != then[name]]
    places = {digest: name for name, digest in now.items()}
    moved = [f"the files of {name} are in {places[then[name]]}" for name in changed if then[name] in places]
    others = [name for name in changed if name in now and then[name] not in places]
    return moved + ([f"other files lie in {', '.join(others)}"] if others else [])


def _counts(records):
    return ", ".join(f"{split} {count:,}" for split, count in records.items())
