"""The detectors of the experiments: one recipe and one backbone, on `scenes` or on a set of the user's own."""

import pathlib
import runpy

RECIPE = pathlib.Path(__file__).parents[1] / "configs" / "faster_rcnn_scenes.py"
SHARED = ("backbone", "backbone_options", "stage", "hidden")
SCENES = {"count": 200, "scales": (10, 30)}  # digits are smaller than the objects of photographs
PHOTOGRAPHS = {"count": 500}


def base(name="scenes", *, classes=()):
    """The config that the three share, by the recipe of Faster R-CNN on scenes.

    Args:
      name: of the data set; photographs are shown at 128x128.
      classes: those that means over classes are of; () for all.
    """
    config = runpy.run_path(str(RECIPE))["get_config"]()
    config.data.name = name
    if name != "scenes":
        config.data.image_size, config.data.fit = (128, 128), "inside"
        config.task.options.flip = True
    config.task.options.measured = tuple(classes)
    config.model.options = {key: config.model.options[key] for key in SHARED}
    return config


def detectors(name="scenes"):
    """{detector: {config key: value}}: R-CNN's regions go through the trunk at the size that gives the others' bins."""
    options = runpy.run_path(str(RECIPE))["get_config"]().model.options.to_dict()
    pooling = {key: options.pop(key) for key in ("pooling", "size")}
    anchors = {key: value for key, value in options.items() if key not in SHARED}
    if name != "scenes":
        anchors["scales"] = tuple(2 * scale for scale in anchors["scales"])
    given = _keys("data.proposals", SCENES if name == "scenes" else PHOTOGRAPHS)
    return {
        "rcnn": {"model.name": "rcnn", **_keys("model.options", {"size": 4 * pooling["size"], "context": 1}), **given},
        "fast_rcnn": {
            "model.name": "fast_rcnn",
            "task.options.background": 0.1,
            **_keys("model.options", pooling),
            **given,
        },
        "faster_rcnn": {"model.name": "faster_rcnn", **_keys("model.options", {**pooling, **anchors})},
    }


def _keys(section, options):
    return {f"{section}.{key}": value for key, value in options.items()}
