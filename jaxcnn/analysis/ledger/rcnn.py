"""R-CNN, Fast R-CNN and Faster R-CNN: mean average precision on VOC 2007 test by eleven points, and seconds an image.

Girshick et al. 2014 (arXiv:1311.2524), Girshick 2015 (arXiv:1504.08083), Ren et al. 2015 (arXiv:1506.01497).
"""

from jaxcnn.analysis.ledger.entry import Entry, precision, seconds

_RCNN, _FAST, _FASTER = "Girshick et al. 2014", "Girshick 2015", "Ren et al. 2015"
_07, _07_12 = "VOC 2007 trainval", "VOC 2007 and 2012 trainval"
_AUTHORS = "the authors' code, ShaoqingRen/faster_rcnn, README"

ENTRIES: list[Entry] = [
    precision("rcnn", "54.2", f"{_RCNN}, table 2", "AlexNet, selective search", trained=_07),
    precision("rcnn", "58.5", f"{_RCNN}, table 2", "AlexNet, selective search, box regression", trained=_07),
    precision("rcnn", "66.0", f"{_RCNN}, version 5, table 3", "VGG D, selective search, box regression", trained=_07),
    seconds("rcnn", "47", f"{_FAST}, section 1", "VGG D on a K40"),
    precision("fast_rcnn", "66.9", f"{_FAST}, table 1", "VGG D, selective search", trained=_07),
    precision("fast_rcnn", "70.0", f"{_FAST}, table 1", "VGG D, selective search", trained=_07_12),
    precision("faster_rcnn", "69.9", f"{_FASTER}, and {_AUTHORS}", "VGG D, 300 proposals", trained=_07),
    precision("faster_rcnn", "73.2", f"{_FASTER}, and {_AUTHORS}", "VGG D, 300 proposals", trained=_07_12),
    precision("faster_rcnn", "78.8", f"{_FASTER}, version 3", "VGG D, 300 proposals", trained=f"COCO, {_07_12}"),
    seconds("faster_rcnn", "0.198", _AUTHORS, "VGG D on a K40, proposals included"),
]
