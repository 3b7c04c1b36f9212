"""Does a detector of few photographs gain from a backbone that has learned to classify other images?

Claim: Girshick et al. 2014 (arXiv:1311.2524, section 2.3): a network trained on much classified data and tuned on the
    scarce data with boxes is what makes detection by a network work.
Protocol: Faster R-CNN on ResNet-20 as in configs/detect_folder.py, at 96x96, batches of 4, 24 epochs; the photographs'
    own splits, and AP at 0.5 over the classes of --classes on test. "tuned" begins with the backbone of the run SOURCE,
    and all of it learns on; "scratch" with random weights. Everything else is the same; the checkpoint with the best AP
    on the held-out photographs is tested. 3 seeds.
Refuted if: the AP of "tuned" is not above that of "scratch" beyond what the seeds explain (paired t).
Cost: 6 runs, 35 minutes of one core. SOURCE is a ResNet-20 of any classes; `convert` makes one of public weights.
    python experiments/detection_transfer.py --data voc:PHOTOS --classes bus car cat person train --source SOURCE \\
        --workdir runs/detection_transfer
"""

import argparse
import pathlib
import runpy
import sys

from jaxcnn import InputError
from jaxcnn.process import set_up_process
from jaxcnn.sweeps import Claim, Study, run_study

RECIPE = pathlib.Path(__file__).parents[1] / "configs" / "detect_folder.py"


def study(data="voc:photos", source="runs/resnet20", classes=(), seeds=3):
    """Two beginnings of one detector."""
    config = runpy.run_path(str(RECIPE))["get_config"]()
    config.data.name, config.data.image_size = data, (96, 96)
    config.task.options.measured = tuple(classes)
    config.model.options.scales = (12.0, 24.0, 42.0, 72.0)
    config.batch_size, config.duration = 4, "24 epochs"
    config.evaluation.every = config.checkpoint.every = "3 epochs"
    own = {
        "finetune.source": str(pathlib.Path(source).absolute()),
        "finetune.rename": (("*", "trunk/*"),),
        "finetune.drop": ("fc",),
        "finetune.head": ("rpn_*", "fc*", "classes", "offsets"),
    }
    tuned, scratch = {"begins": "tuned"}, {"begins": "scratch"}
    claim = Claim("A backbone that knows other images finds more.", tuned, scratch, "test_ap50")
    levels = {"tuned": own, "scratch": {key: type(value)() for key, value in own.items()}}
    return Study(base=config, factors={"begins": levels}, seeds=tuple(range(seeds)), claims=(claim,), baseline=scratch)


def main(argv=None):
    """Trains what is not trained yet; writes the study into the workdir."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--data", required=True, help="voc:PATH or coco:FILE")
    parser.add_argument("--source", required=True, metavar="RUN", help="the run of the backbone")
    parser.add_argument("--classes", nargs="+", default=(), help="those that AP is the mean of; default: all")
    parser.add_argument("--seeds", type=int, default=3, help="how many; default: 3")
    arguments = parser.parse_args(argv)
    set_up_process()
    own = study(arguments.data, arguments.source, arguments.classes, arguments.seeds)
    failed = run_study(own, arguments.workdir, title=__doc__.split("\n")[0], docstring=__doc__)[1]
    if failed:
        raise InputError(f"a run failed: {failed}")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"detection_transfer: {error}")
