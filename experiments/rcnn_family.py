"""What do one pass for all regions, and proposals that are learned, bring to R-CNN?

Claim: Girshick 2015 (arXiv:1504.08083, table 4): one pass for all proposals of an image is faster than a pass for each
    by an order of magnitude (47 s against 0.32 with VGG D), at a higher AP. Ren et al. 2015 (arXiv:1506.01497): learned
    proposals hold or raise the AP, and cost next to nothing.
Protocol: the composed scenes (--data voc:PATH for photographs, at 128x128), one backbone from scratch, one recipe
    (configs/fast_rcnn_scenes.py) for 4 epochs, the same number of steps, images and regions for all. R-CNN sees each
    region at the size that gives its head the bins of the others. Selective search gives R-CNN and Fast R-CNN their
    proposals. AP at 0.5 on test images; of R-CNN also by linear SVMs and the regression of boxes (transfer.rcnn),
    as its paper has it. Seconds: the median of single test images, compiled before; those of selective search apart.
    3 seeds.
Refuted if: R-CNN's seconds without proposals are under 10 times those of Fast R-CNN, for any seed; or the AP of Faster
    R-CNN is below that of Fast R-CNN beyond what the seeds explain (paired t).
Cost: 9 runs, 50 minutes of one core, of which the SVMs take 10. JAXCNN_EXTRAS=detection,vision. All of it, or
    the networks alone:
    python experiments/rcnn_family.py --workdir runs/rcnn_family [--data voc:PATH --classes bus car cat person train]
    python -m jaxcnn sweep experiments/rcnn_family.py --workdir runs/rcnn_family
"""

import argparse
import pathlib
import runpy
import statistics
import sys
import time

import jax

from jaxcnn import InputError, Trained
from jaxcnn.data.detection.selective_search import make_search, selective_search
from jaxcnn.process import set_up_process
from jaxcnn.sweeps import Claim, Study, run_study
from jaxcnn.sweeps.statistics import paired_comparison
from jaxcnn.transfer import rcnn

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
SEEDS = (0, 1, 2)
TIMED = 20  # test images
SVMS = "rcnn, SVMs"


def study(name="scenes", classes=()):
    """The three detectors, on `scenes` or on photographs with boxes; of the latter maybe some classes alone."""
    config, other = (recipe(f"{detector}_scenes.py") for detector in ("fast_rcnn", "faster_rcnn"))
    config.duration = "4 epochs"
    own, anchors = config.model.options.to_dict(), other.model.options.to_dict()
    config.data.name = name
    if name != "scenes":
        config.data.image_size, config.data.fit, config.data.proposals = (128, 128), "inside", {"count": 500}
        config.task.options.flip, config.task.options.measured = True, tuple(classes)
        anchors["scales"] = tuple(2 * scale for scale in anchors["scales"])
    config.task.options = {**other.task.options.to_dict(), **config.task.options.to_dict()}
    pooling = {"size": own.pop("size"), "pooling": anchors["pooling"]}
    config.model.options = own
    only = {key: value for key, value in anchors.items() if key not in (*own, *pooling)}
    levels = {
        # at the stride of 4 its head gets as many cells as the others' bins
        "rcnn": {
            "model.name": "rcnn",
            "task.options.background": 0.0,
            **options({"size": 4 * pooling["size"], "context": 1}),
        },
        "fast_rcnn": options(pooling),
        "faster_rcnn": {"model.name": "faster_rcnn", "task.options.background": 0.0, **options({**pooling, **only})},
    }
    slow, fast, faster = ({"detector": detector} for detector in levels)
    return Study(
        base=config,
        factors={"detector": levels},
        seeds=SEEDS,
        baseline=fast,
        claims=(
            Claim("Fast R-CNN finds more than R-CNN's network.", fast, slow),
            Claim("Faster R-CNN finds more than Fast R-CNN.", faster, fast),
        ),
    )


def recipe(file):
    """The config of a file in configs/."""
    return runpy.run_path(str(CONFIGS / file))["get_config"]()


def options(values):
    """Options of the network as keys of a config."""
    return {f"model.options.{key}": value for key, value in values.items()}


def main(argv=None):
    """Trains what is not trained yet; writes results.csv, summary.json and results.png into the workdir."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--data", default="scenes", help="scenes, voc:PATH or coco:PATH")
    parser.add_argument("--classes", nargs="+", default=(), help="those that AP is the mean of; default: all")
    arguments = parser.parse_args(argv)
    set_up_process()
    own = study(arguments.data, arguments.classes)
    cells, failed = run_study(own, arguments.workdir, title="the R-CNN family", docstring=__doc__)
    if failed:
        raise InputError(f"a run failed: {failed}")
    rows, names = [], ("ap50", "proposal_recall")
    tested = [row for cell in cells for row in zip(*(cell.values[f"test_{name}"] for name in names), strict=True)]
    for run, values in zip(own.runs(), tested, strict=True):
        trained = Trained(pathlib.Path(arguments.workdir) / run.id)
        found = list(measured(trained, run, dict(zip(names, values, strict=True))))
        rows += found
        print(*(f"{row['detector']}, seed {row['seed']}: {row}" for row in found), sep="\n", flush=True)
    finish(arguments.workdir, rows)


def measured(trained, run, values):
    """Yields the row of a run, and of R-CNN that of its SVMs."""
    records, detector = trained.open("test").records, run.levels["detector"]
    row = {"detector": detector, "seed": run.seed, **values, "seconds": seconds(trained, records)}
    row["search_seconds"] = 0.0 if detector == "faster_rcnn" else search_seconds(trained, records)
    yield row
    if detector == "rcnn":
        fitted = rcnn.fit(trained, trained.open("train").records, seed=run.seed)
        yield {**row, "detector": SVMS, "ap50": rcnn.evaluate(trained, fitted, records)["ap50"]}


def seconds(trained, records):
    """The median time of one image, from its pixels and proposals to its detections."""
    infer = jax.jit(lambda variables, batch: trained.model.apply(variables, batch, method=trained.task.infer)["boxes"])
    times = []
    for number in range(TIMED + 1):
        batch = jax.device_put(records.read([number]))
        batch = {**batch, "image": batch["image"] / 255}
        started = time.perf_counter()
        jax.block_until_ready(infer(trained.variables, batch))
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])  # the first compiles


def search_seconds(trained, records):
    """The median time of one image's selective search, at the size that it is stored in."""
    options = trained.config.data.proposals.to_dict()
    search = make_search({name: value for name, value in options.items() if name != "count"})
    times = []
    for number in range(TIMED):
        image = records.whole(number)["image"]
        started = time.perf_counter()
        selective_search(image, search)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def finish(workdir, rows):
    """Writes and prints means, comparisons and times."""
    from _record import draw_points, record  # beside this file, which is a script here; sweep needs none of it

    names = list(dict.fromkeys(row["detector"] for row in rows))
    of = {name: {row["seed"]: row for row in rows if row["detector"] == name} for name in names}
    precision = {name: {seed: row["ap50"] for seed, row in own.items()} for name, own in of.items()}
    groups = {name: list(own.values()) for name, own in precision.items()}
    pairs = (("fast_rcnn", "rcnn"), ("fast_rcnn", SVMS), ("faster_rcnn", "fast_rcnn"))
    comparisons = {f"{a} - {b}": paired_comparison(precision[a], precision[b]) for a, b in pairs}
    record(workdir, rows, groups, comparisons)
    for name, own in of.items():
        print(f"{name}: {statistics.median(row['seconds'] for row in own.values()):.4f} s an image, and", end=" ")
        print(f"{statistics.median(row['search_seconds'] for row in own.values()):.4f} s of selective search")
    factors = [of["rcnn"][seed]["seconds"] / of["fast_rcnn"][seed]["seconds"] for seed in SEEDS]
    print(f"one pass for all proposals is faster {min(factors):.1f} to {max(factors):.1f} times")
    draw_points(f"{workdir}/results.png", {"test images": groups}, measure="AP at 0.5")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"rcnn_family: {error}")
