"""Regions of an image: boxes, their targets, anchors, pooling of features, suppression, assignment and sampling.

**Boxes** are (x1, y1, x2, y2), float32, in pixels: the left, upper, right and lower edges, where pixel i covers
[i, i + 1]. The width is x2 - x1, and the whole image is (0, 0, width, height). VOC's files and the codes of the R-CNN
papers name the first and the last pixel instead, from 1 or from 0, and their width is x2 - x1 + 1: of VOC's corners
x1 and y1 are one less here; of corners that count from 0, x2 and y2 are one more.

Numbers of boxes are static: what is not there is masked. Functions of one image's boxes (m, 4) are mapped over images
by `jax.vmap`; poolings take the features of n images.

```python
proposals = decode(offsets, anchors(features.shape[1:3], stride=16))
proposals = clip(proposals, size=(600, 1000))
kept, there = non_maximum_suppression(proposals, scores, threshold=0.7, count=300)
pooled = roi_align(features, proposals[:, kept], size=7, stride=16)
```
"""

from jaxcnn.operators.regions.anchors import RATIOS, SCALES, anchors
from jaxcnn.operators.regions.boxes import areas, clip, covered, inside, iou, original, shown
from jaxcnn.operators.regions.coding import decode, encode, smooth_l1
from jaxcnn.operators.regions.matching import Assignment, assign, sample
from jaxcnn.operators.regions.roi import roi_align, roi_pool
from jaxcnn.operators.regions.suppression import non_maximum_suppression, non_maximum_suppression_by_class
from jaxcnn.operators.regions.warp import warp

__all__ = [
    "RATIOS",
    "SCALES",
    "Assignment",
    "anchors",
    "areas",
    "assign",
    "clip",
    "covered",
    "decode",
    "encode",
    "inside",
    "iou",
    "non_maximum_suppression",
    "non_maximum_suppression_by_class",
    "original",
    "roi_align",
    "roi_pool",
    "sample",
    "shown",
    "smooth_l1",
    "warp",
]
