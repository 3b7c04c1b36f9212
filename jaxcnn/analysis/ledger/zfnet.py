"""ZFNet (Zeiler and Fergus 2013, "Visualizing and understanding convolutional networks", arXiv:1311.2901)."""

from typing import Any

from jaxcnn.analysis.ledger.entry import Entry, erratum, error, recipe, shapes

_PAPER = "Zeiler and Fergus 2013"
_TABLE_2 = f"{_PAPER}, table 2"
_LECTURE = "CS231n, lecture 9"
_TEST: dict[str, Any] = {"data": "ILSVRC-2012 test", "images": 100_000}

ENTRIES: list[Entry] = [
    *shapes(
        "zfnet",
        f"{_PAPER}, figure 3",
        {
            "conv1": "110x110x96",
            "pool1": "55x55x96",
            "conv2": "26x26x256",
            "pool2": "13x13x256",
            "conv3": "13x13x384",
            "conv4": "13x13x384",
            "conv5": "13x13x256",
            "pool5": "6x6x256",
            "fc6": "4096",
            "fc7": "4096",
        },
    ),
    *shapes("zfnet_wide", _TABLE_2, {"conv3": "13x13x512", "conv4": "13x13x1024", "conv5": "13x13x512"}),
    error("zfnet", "38.4/16.5", _TABLE_2, "10 crops"),
    error("zfnet", "36.7/15.3", _TABLE_2, "10 crops, 5 nets"),
    error("zfnet", "-/15.3", _TABLE_2, "10 crops, 5 nets", **_TEST),
    error("zfnet_wide", "37.5/16.0", _TABLE_2, "10 crops"),
    error("zfnet_wide", "-/16.1", _TABLE_2, "10 crops", **_TEST),
    error("zfnet_wide", "36.0/14.7", _TABLE_2, "10 crops, 6 nets with those of zfnet"),
    error("zfnet_wide", "-/14.8", _TABLE_2, "10 crops, 6 nets with those of zfnet", **_TEST),
    erratum(
        "zfnet_wide",
        "error/lecture",
        "error",
        "11.7",
        _LECTURE,
        true=(14.8,),
        reason="11.7 % is Clarifai's entry of ILSVRC 2013; the paper's best is 14.8 % on the test set of 2012",
        data="ILSVRC-2013 test",
        protocol="ensemble",
        images=100_000,
    ),
    recipe(
        "zfnet",
        "batch 128, SGD with momentum 0.9, rate 0.01 annealed by hand, 70 epochs; all weights 0.01 and biases 0 at the "
        "start; dropout 0.5; convolution filters with an RMS above 0.1 renormalised to it; 10 crops of 224 from 256",
        f"{_PAPER}, section 3",
    ),
]
