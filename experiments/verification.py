"""Are people who were never seen told apart better after softmax, after triplets, or after one and then the other?

Claim: Parkhi, Vedaldi and Zisserman 2015 ("Deep face recognition", section 4): a network that has learned to name
    people by softmax gives better vectors for strangers when it is tuned by triplets. Schroff, Kalenichenko and
    Philbin 2015 (FaceNet): triplets need no softmax before them.
Protocol: half of the people, by the seed, are learned from, but for two images each; the others are strangers. Of these
    come 50 pairs of one person and 50 of two in each of 10 folds that share nobody. Accuracy by LFW's protocol (the
    threshold is chosen on nine folds and tested on the tenth), area below the ROC and equal error rate of all pairs.
    `deepface_small` on images scaled to 75x62, moved by 4 pixels, Adam at 0.001, cosine decay, 400 steps of 40:
    softmax, whose vectors are F7; semi-hard triplets of 10 people with 4 images, margin 0.2, a vector of 64; or half of
    the steps by softmax and half by triplets. Scores are cosines. The last step is taken, so that nothing is selected.
    Beside them eigenfaces (100 components, of the people learned from) and local binary patterns.
Refuted if: the accuracy after both is not above that after softmax (paired t over the seeds, 95 % interval apart from
    zero).
Result: 86.6 % after softmax, 85.4 after triplets, 85.3 after both, 89.2 by eigenfaces (n = 6): both are not above
    softmax, refuted by the rule above (results/verification).
Cost: 32 runs of a minute and a half of one CPU core. FACES holds a folder for each person, as ORL's s1 to s40; without
    --data the embedded digits are people.
    python experiments/verification.py --workdir runs/verification --data folder:FACES
"""

import argparse
import pathlib
import sys

import numpy as np
from _people import known, people
from _record import draw_points, record

import jaxcnn
from jaxcnn import InputError
from jaxcnn.process import set_up_process
from jaxcnn.sweeps.statistics import paired_comparison
from jaxcnn.transfer.faces.baselines import binary_patterns, eigenfaces
from jaxcnn.transfer.faces.pairs import draw_pairs
from jaxcnn.transfer.faces.people import default_stage, people_of_network
from jaxcnn.transfer.faces.verification import pair_scores, verify

SEEDS, STEPS, BATCH = 8, 400, 40
FOLDS, PAIRS = 10, 50
NETWORKS, OTHERS = ("softmax", "triplets", "both"), ("eigenfaces", "local binary patterns")
COMPONENTS = 100
COMPARED = (("both", "softmax"), ("both", "triplets"), ("triplets", "softmax"))
NETWORK, OPTIONS, VECTOR = "deepface_small", {}, 64


def main(argv=None):
    """Trains what is not trained yet; writes results.csv, summary.json and results.png into the workdir."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", required=True)
    parser.add_argument("--data", default="digits", metavar="folder:FACES", help="default: the embedded digits")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many; default: {SEEDS}")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of a method; default: {STEPS}")
    arguments = parser.parse_args(argv)
    set_up_process()
    workdir, rows = pathlib.Path(arguments.workdir), []
    for seed in range(arguments.seeds):
        for method in NETWORKS + OTHERS:
            found = verified(method, workdir, arguments.data, seed, arguments.steps)
            measures = {"accuracy": found.by_folds.accuracy, "area": found.area, "error": found.equal_error_rate}
            rows.append({"method": method, "seed": seed, "pairs": len(found.scores), **measures})
            print(*rows[-1].values(), flush=True)
    by_seed = {
        (measure, method): {row["seed"]: row[measure] for row in rows if row["method"] == method}
        for measure in measures
        for method in NETWORKS + OTHERS
    }
    groups = {f"{measure}, {method}": list(values.values()) for (measure, method), values in by_seed.items()}
    comparisons = {
        f"{measure}, {one} - {other}": paired_comparison(by_seed[measure, one], by_seed[measure, other])
        for measure in measures
        for one, other in COMPARED
    }
    record(workdir, rows, groups, comparisons)
    accuracies = {method: list(by_seed["accuracy", method].values()) for method in NETWORKS + OTHERS}
    draw_points(workdir / "results.png", {"pairs of strangers": accuracies})


def verified(method, workdir, data, seed, steps):
    """The Verification of pairs of strangers by a method."""
    label = people(data)[1]
    own = known(label, seed=seed)
    strangers = label[~own]
    pairs = draw_pairs(strangers, folds=min(FOLDS, len(np.unique(strangers)) // 2), each=PAIRS, seed=seed)
    if method in NETWORKS:
        vectors = of_network(trained(method, workdir, data, seed, steps))
    else:
        vectors = of_pixels(method, people(data)[0][..., 0], own)
    metric = "cosine" if method in (*NETWORKS, "eigenfaces") else "euclidean"
    return verify(pair_scores(vectors, pairs, metric=metric), pairs)


def of_network(run):
    """The vectors of the strangers, in their order, by the last step of a run."""
    network = jaxcnn.Trained(run, "latest")
    found = people_of_network(network, default_stage(network), split="test")
    return found.vectors(np.arange(len(found.label)))


def of_pixels(method, images, own):
    """The vectors of the strangers by a method without a network, which learns from the others at most."""
    if method == "local binary patterns":
        return binary_patterns(images[~own])
    return eigenfaces(images[own] / 255, components=min(COMPONENTS, own.sum() - 1))(images[~own] / 255)


def trained(method, workdir, data, seed, steps):
    """The run directory of a method, trained where it is not there yet."""
    if method == "both":
        first = trained("first", workdir, data, seed, steps // 2)
        config = recipe(data, seed, steps - steps // 2, triplets=True)
        config.model.name, config.finetune.source = "", str(first)
    else:
        config = recipe(data, seed, steps, triplets=method == "triplets")
    return jaxcnn.train(config, workdir / f"{method}-seed={seed}", quiet=True, final_test=False).workdir


def recipe(data, seed, steps, *, triplets):
    """The config of a run from scratch, by softmax or by triplets."""
    config = jaxcnn.default_config()
    config.seed = seed
    config.data.name, config.data.data_dir = "_people:strangers", data
    splits = {"train": "known", "validation": "held", "test": "strangers"}
    config.data.update({split: f"{part} {seed}" for split, part in splits.items()})
    config.augment.pad_crop = 4
    config.model.name, config.model.options = NETWORK, OPTIONS
    config.batch_size, config.duration = BATCH, f"{steps} steps"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 1e-3
    config.schedule.name = "cosine"
    config.evaluation.every = config.checkpoint.every = "100%"
    if triplets:
        config.model.options = {**OPTIONS, "num_classes": VECTOR}
        config.task.name = "embedding"
        count = min(10, len(np.unique(people(data)[1])) // 2)  # people in a batch
        config.sampler.name, config.sampler.options = "identities", {"identities": count, "images": BATCH // count}
        config.batch_size = count * (BATCH // count)
    return config


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"verification: {error}")
