"""Does RoI align beat RoI pooling where objects are small?

Claim: He et al. 2017 (arXiv:1703.06870, table 2): pooling without rounding raises the AP of boxes, the more the larger
    the stride and the higher the IoU that is asked for.
Protocol: Fast R-CNN by one recipe (configs/fast_rcnn_scenes.py, proposals of selective search) on the composed
    scenes, digits of 12 to 32 pixels at a stride of 4; only the pooling differs. AP at 0.5, and COCO's mean
    over IoU of 0.5 to 0.95, where place counts more. 5 seeds.
Refuted if: neither AP at 0.5 nor COCO's is above beyond what the seeds explain (paired t, Holm over the two claims).
Cost: 10 runs, 40 minutes of one core. JAXCNN_EXTRAS=detection,vision.
"""

import pathlib
import runpy

from jaxcnn.sweeps import Claim, Study

RECIPE = pathlib.Path(__file__).parents[1] / "configs" / "fast_rcnn_scenes.py"
POOLING = "model.options.pooling"


def study():
    """Two poolings."""
    config = runpy.run_path(str(RECIPE))["get_config"]()
    config.task.options.coco = True
    align, pool = ({POOLING: pooling} for pooling in ("align", "pool"))
    return Study(
        base=config,
        factors={POOLING: ("pool", "align")},
        seeds=(0, 1, 2, 3, 4),
        baseline=pool,
        claims=(
            Claim("RoI align finds more at an IoU of 0.5.", align, pool, "test_ap50"),
            Claim("RoI align finds more over IoU of 0.5 to 0.95.", align, pool, "test_ap"),
        ),
    )
