"""Does learning without forgetting keep more of the first task than fine-tuning, at equal accuracy on the second?

Claim: Li and Hoiem 2016 (arXiv:1606.09282, table 1): without the old task's images, LwF keeps the old task better than
    fine-tuning does and learns the new one as well; joint training, which sees both tasks' images, is the upper bound.
Protocol: digits 0 to 4, then 5 to 9; `lenet5_common` at 32x32. Five networks are trained on the old task, one for each
    seed; each continues by four methods with one recipe: SGD momentum 0.9, rate 0.02, batch 64, weight decay 5e-4, the
    new head alone for the first quarter of the steps. lambda_old 1, temperature 2. The last checkpoint is taken:
    nothing is selected. At test the task of an image is known. Accuracy is on the test images of either task.
Refuted if: LwF's old accuracy is not above fine-tuning's (paired t over the seeds, 95 % interval apart from zero).
Cost: 25 runs; about 3 minutes on 2 CPU cores with the embedded digits, 6 with MNIST. DIR holds TFDS's mnist:
    python experiments/forgetting.py --workdir runs/forgetting [--data_dir DIR]
"""

import argparse
import functools

import numpy as np
from _record import draw_points, record

import jaxcnn
from jaxcnn.data import Arrays, Records, load, read_all
from jaxcnn.sweeps.statistics import paired_comparison
from jaxcnn.transfer.forgetting import METHODS, predictions, second_task

SEEDS = (0, 1, 2, 3, 4)
STEPS = {"digits": 200, "mnist": 400}
TASKS = {"old": range(5), "new": range(5, 10), "both": range(10)}


def task(split, *, data_dir, on_error, **options):
    """Records of "old_train", "new_test", "both_train", ...: the digits of a task; MNIST's where data_dir is given."""
    name, part = split.split("_")
    images, labels = _images(data_dir or "", part)
    digits = TASKS[name]
    kept = np.isin(labels, digits)
    arrays = Arrays(split, {part: (images[kept], labels[kept] - digits.start)}, map(str, digits))
    return Records(arrays, part, on_error=on_error)


task.default_splits = {"test": ""}  # accuracies() looks at the test images, once for each run


@functools.cache
def _images(data_dir, part):
    if data_dir:
        split = {"train": "train[:20%]", "test": "test"}[part]
        records = load("tfds:mnist", split, data_dir=data_dir, image_size=(32, 32), fit="pad")
    else:
        records = load("digits", part)
    arrays = read_all(records)
    return arrays["image"], arrays["label"]


def recipe(data_dir, name, seed):
    """The config of a run on a task."""
    config = jaxcnn.default_config()
    config.seed = seed
    config.data.name, config.data.data_dir = "forgetting:task", data_dir
    config.data.train, config.data.validation = f"{name}_train", f"{name}_test"
    config.model.name = "lenet5_common"
    config.model.options.activation = "relu"
    config.batch_size = 64
    config.duration = f"{STEPS['mnist' if data_dir else 'digits']} steps"
    config.optimizer.learning_rate = 0.02
    config.optimizer.weight_decay = 5e-4
    config.evaluation.every = config.checkpoint.every = config.duration
    return config


def accuracies(workdir, data_dir):
    """(old, new): the share of either task's test images that the run's last checkpoint has right."""
    trained = jaxcnn.Trained(workdir, "latest")
    found = []
    for name in ("old", "new"):
        images, labels = _images(data_dir, "test")
        kept = np.isin(labels, TASKS[name])
        right = predictions(trained, images[kept], stages=(name,))[name] == labels[kept] - TASKS[name].start
        found.append(float(right.mean()))
    return found


def run(workdir, data_dir):
    """Yields a row for each seed: the network of the old task alone, then each method."""
    for seed in SEEDS:
        source = f"{workdir}/old-seed={seed}"
        first = jaxcnn.train(recipe(data_dir, "old", seed), source, quiet=True)
        yield {"method": "old task alone", "seed": seed, "old": first.validation["top1"], "new": None}
        for method in METHODS:
            config = recipe(data_dir, "both" if method == "joint" else "new", seed)
            config = second_task(config, source, method=method, warmup="25%")
            jaxcnn.train(config, f"{workdir}/{method}-seed={seed}", quiet=True)
            old, new = accuracies(f"{workdir}/{method}-seed={seed}", data_dir)
            yield {"method": method, "seed": seed, "old": old, "new": new}
            print(f"seed {seed} {method}: old {old:.4f} new {new:.4f}", flush=True)


def main():
    """Trains what is not trained yet; writes results.csv, summary.json and results.png into the workdir."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--data_dir", default="", help="where TFDS's mnist lies; default: the embedded digits")
    arguments = parser.parse_args()
    rows = list(run(arguments.workdir, arguments.data_dir))
    by_seed = {
        (method, column): {row["seed"]: row[column] for row in rows if row["method"] == method}
        for method in METHODS
        for column in ("old", "new")
    }
    comparisons = {
        f"lwf - {other}, {column}": paired_comparison(by_seed["lwf", column], by_seed[other, column])
        for other in METHODS[1:]
        for column in ("old", "new")
    }
    groups = {f"{method}, {column}": list(values.values()) for (method, column), values in by_seed.items()}
    groups["old task alone, old"] = [row["old"] for row in rows if row["new"] is None]
    record(arguments.workdir, rows, groups, comparisons)
    draw_points(
        f"{arguments.workdir}/results.png",
        {
            f"{column} task": {method: list(by_seed[method, column].values()) for method in METHODS}
            for column in ("old", "new")
        },
    )


if __name__ == "__main__":
    main()
