"""What is a network of other classes worth, against the number of training images for each class?

Claim: Li and Hoiem 2016 and the lectures: with few images a fine-tuned network beats one trained from scratch, and its
    frozen features come close; the gain falls with the number of images.
Protocol: imagenette at 64x64, its classes in two halves. A convnet of four convolutions (16, 32, 64, 128) with batch
    norm is trained on all images of the first five classes (1,000 steps, random crops of a quarter or more), once for
    each seed. Then 5, 10, 20 or all training images of each of the last five, drawn by the seed: from scratch,
    fine-tuned (all layers), or on frozen features (all but the head stays, statistics too). SGD momentum 0.9, rate
    0.04, cosine decay, clip 1, weight decay 5e-4, batch 25, pad-crop 6 and flip, 150 steps (250 for all images). Rates
    and the recipe of the first half are from pilots on another seed (--pilot: 20 images a class, judged on the
    training images that are left). The last checkpoint is tested, on val of the last five classes: nothing is selected.
Refuted if: at 20 images a class fine-tuning's accuracy is not above that from scratch (paired t over the seeds, 95 %
    interval apart from zero).
Cost: 65 small runs, about 10 minutes on 2 CPU cores. DIR holds train/ and val/ of class folders:
    python experiments/transfer.py --workdir runs/transfer --data folder:DIR
"""

import argparse
import functools

import numpy as np
from _record import draw_lines, record

import jaxcnn
from jaxcnn.data import Arrays, Records, load, read_all
from jaxcnn.sweeps.statistics import paired_comparison

SEEDS, PILOT = (0, 1, 2, 3, 4), 9
SIZES = ("5", "10", "20", "all")  # images of a class
METHODS = ("scratch", "features", "fine_tuned")
RATES = {"scratch": 0.04, "features": 0.04, "fine_tuned": 0.04}
HALF = 5  # classes


def half(split, *, data_dir, on_error, **options):
    """Records of "source", of "target 20 3" (images a class, seed), of what that leaves ("rest 20 3"), or of "test".

    data_dir is the name of the folder set: images are read once for all runs.
    """
    kind, *numbers = split.split()
    parts = {"source": ("train", "val"), "test": ("val",)}.get(kind, ("train",))
    images, labels = (
        np.concatenate(arrays) for arrays in zip(*(_images(data_dir, part) for part in parts), strict=True)
    )
    kept = np.flatnonzero(labels < HALF if kind == "source" else labels >= HALF)
    if numbers and numbers[0] != "all":
        size, seed = map(int, numbers)
        order = np.random.default_rng(seed).permutation(kept)
        rank = np.array([np.sum(labels[order[:i]] == labels[order[i]]) for i in range(len(order))])
        kept = order[rank < size if kind == "target" else rank >= size]
    arrays = Arrays(kind, {kind: (images[kept], labels[kept] % HALF)}, map(str, range(HALF)))
    return Records(arrays, kind, on_error=on_error)


half.default_splits = {"test": ""}  # the last evaluation is the only one, and on the images of "test"


@functools.cache
def _images(name, part):
    arrays = read_all(load(name, part, image_size=(64, 64)))
    return arrays["image"], arrays["label"]


def recipe(name, train, test, *, steps, seed, rate):
    """The config of a run from scratch."""
    config = jaxcnn.default_config()
    config.seed = seed
    config.data.name, config.data.data_dir = "transfer:half", name
    config.data.train, config.data.validation = train, test
    config.augment.pad_crop, config.augment.flip = 6, True
    config.model.name = "convnet"
    config.model.options.update({"widths": (16, 32, 64, 128), "convolutions": 1, "hidden": (), "batch_norm": True})
    config.batch_size = 25
    config.duration = f"{steps} steps"
    config.optimizer.learning_rate = rate
    config.optimizer.weight_decay = 5e-4
    config.optimizer.clip = 1.0
    config.schedule.name = "cosine"
    config.evaluation.every = config.checkpoint.every = config.duration
    return config


def pretrained(workdir, name, seed):
    """The run directory of a network of the first half."""
    config = recipe(name, "source", "source", steps=1000, seed=seed, rate=0.04)
    config.augment.pad_crop, config.augment.crop, config.augment.crop_area = 0, "resized", (0.25, 1.0)
    return jaxcnn.train(config, f"{workdir}/source-seed={seed}", quiet=True).workdir


def accuracy(workdir, name, method, size, seed, *, rate, test="test"):
    """The share of the images of `test` that a method has right, from `size` images of each class."""
    steps = 250 if size == "all" else 150
    config = recipe(name, f"target {size} {seed}", test, steps=steps, seed=seed, rate=rate)
    if method != "scratch":
        config.finetune.source = str(pretrained(workdir, name, seed))
    if method == "features":
        config.finetune.freeze = ("*",)
    run = f"{workdir}/{method}-{size}-rate={rate}-seed={seed}"
    return jaxcnn.train(config, run, quiet=True).validation["top1"]


def main():
    """Trains what is not trained yet; writes results.csv, summary.json and results.png into the workdir."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--data", required=True, help="folder:DIR")
    parser.add_argument("--sizes", nargs="+", default=SIZES, choices=SIZES, help="images of a class; default: all four")
    parser.add_argument("--pilot", action="store_true", help="only print what rates come to, without the test images")
    arguments = parser.parse_args()
    if arguments.pilot:
        for method in METHODS:
            for rate in (0.0025, 0.01, 0.04):
                place = (arguments.workdir, arguments.data, method, "20", PILOT)
                print(method, rate, accuracy(*place, rate=rate, test=f"rest 20 {PILOT}"), flush=True)
        return
    rows = []
    for size in arguments.sizes:
        for seed in SEEDS:
            for method in METHODS:
                found = accuracy(arguments.workdir, arguments.data, method, size, seed, rate=RATES[method])
                rows.append({"method": method, "images_per_class": size, "seed": seed, "accuracy": found})
                print(*rows[-1].values(), flush=True)
    by_seed = {
        (method, size): {
            r["seed"]: r["accuracy"] for r in rows if (r["method"], r["images_per_class"]) == (method, size)
        }
        for method in METHODS
        for size in arguments.sizes
    }
    groups = {f"{method}, {size} a class": list(values.values()) for (method, size), values in by_seed.items()}
    comparisons = {
        f"{method} - scratch, {size} a class": paired_comparison(by_seed[method, size], by_seed["scratch", size])
        for method in METHODS[1:]
        for size in arguments.sizes
    }
    record(arguments.workdir, rows, groups, comparisons)
    lines = {method: {size: list(by_seed[method, size].values()) for size in arguments.sizes} for method in METHODS}
    draw_lines(f"{arguments.workdir}/results.png", lines, xlabel="training images of each class")


if __name__ == "__main__":
    main()
