"""How many proposals of selective search does a detector need?

Claim: Uijlings et al. 2013 (IJCV 104(2)): recall rises with the number of boxes and flattens. Girshick 2015
    (arXiv:1504.08083, section 5.5): the AP of a detector rises with it too, and then falls a little.
Protocol: Fast R-CNN by one recipe (configs/fast_rcnn_scenes.py) on the composed scenes, trained and tested on the
    first 10, 100 or 300 proposals of each image; nothing else differs. Recall at an IoU of 0.5 is of the
    proposals, AP at 0.5 of the detector. 3 seeds of the network; the proposals are always the same.
Refuted if: the AP with 100 proposals is not above that with 10, or with 300 not above that with 100, beyond what the
    seeds explain (paired t, Holm). Recall has no spread: it is as the table shows it.
Cost: 9 runs, 18 minutes of one core. JAXCNN_EXTRAS=detection,vision.
"""

import pathlib
import runpy

from jaxcnn.sweeps import Claim, Study

RECIPE = pathlib.Path(__file__).parents[1] / "configs" / "fast_rcnn_scenes.py"
COUNT = "data.proposals.count"


def study():
    """Three numbers of proposals."""
    few, some, many = ({COUNT: count} for count in (10, 100, 300))
    return Study(
        base=runpy.run_path(str(RECIPE))["get_config"](),
        factors={COUNT: (10, 100, 300)},
        seeds=(0, 1, 2),
        baseline=some,
        claims=(
            Claim("AP is higher with 100 proposals than with 10.", some, few),
            Claim("AP is higher with 300 proposals than with 100.", many, some),
        ),
    )
