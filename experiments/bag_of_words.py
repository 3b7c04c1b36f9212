"""Does a small convolutional network beat bags of visual words on 90 photographs a class?

Claim: the spatial pyramid beats the plain bag (Lazebnik, Schmid and Ponce 2006, table 1), so does the Fisher vector
    (Perronnin, Sanchez and Mensink 2010), and a convolutional network beats both, as on ILSVRC-2010 with 1.2 million
    images (Krizhevsky et al. 2012, table 1: top-5 error 25.7 % with SIFT and Fisher vectors, 17.0 % with the network).
Protocol: the same photographs for all: 900 to learn from, 400 to test on (imagenette, its first 100 and 40 of a class).
    SIFT on grey images of 224x224: 16x16 patches every 8 pixels, and keypoints; 200 words by k-means; levels 0 to 2;
    Fisher vectors of 16 Gaussians over 64 components; a linear SVM and nearest neighbours (jaxcnn.transfer.probe), also
    on the square roots of the histograms. Against it a convnet of four convolutions from scratch on colour images of
    64x64 with pad-crop and flip, its epoch chosen on 100 further photographs, and the probes on its last stage.
    5 seeds: of the codebook or mixture, and of the network.
Refuted if: the mean accuracy over the seeds, with the linear SVM, or of the network's own output, is not above beyond
    what the spread of the seeds explains (paired t, Holm over the three claims).
Cost: 10 minutes on 2 CPU cores. PHOTOS holds class folders; all of it, or the network's part alone:
    python experiments/bag_of_words.py --data folder:PHOTOS --workdir runs/bag_of_words --output DIR
    python -m jaxcnn sweep experiments/bag_of_words.py --scale folder:PHOTOS --workdir runs/bag_of_words
"""

import argparse
import collections
import json
import pathlib
import sys

import joblib
import numpy as np

from jaxcnn import InputError, Trained, default_config
from jaxcnn.analysis.proportion import wilson_interval
from jaxcnn.data import default_splits, load
from jaxcnn.evaluation.error_table import write_csv
from jaxcnn.process import set_up_process
from jaxcnn.sweeps import Study, run_study
from jaxcnn.sweeps.statistics import decide, holm, mean_interval, paired_comparison
from jaxcnn.training.rundir.environment import environment
from jaxcnn.transfer.features import Extractor, split_records
from jaxcnn.transfer.probe import ProbeRow, probe
from jaxcnn.transfer.visual_words import (
    dense_sift,
    fisher_vector,
    fit_mixture,
    keypoint_sift,
    make_codebook,
    nearest_words,
    spatial_pyramid,
    word_histogram,
)
from jaxcnn.visualize.figure import new_figure, plain_axes, save_figure, style

SEEDS = (0, 1, 2, 3, 4)
SIDE, WORDS, MODES = 224, 200, 16
SAMPLE = 50_000  # descriptors that a codebook or a mixture is learned from
CLASSICAL = ("linear SVM", "nearest neighbours")
NETWORK, OUTPUT, STAGE = "convnet from scratch", "its own output", "pool4"
PLAIN, PYRAMID, FISHER = "dense SIFT, histogram", "dense SIFT, spatial pyramid", "dense SIFT, Fisher vector"
CLAIMS = (
    ("The spatial pyramid is above the plain bag.", (PYRAMID, "linear SVM"), (PLAIN, "linear SVM")),
    ("The Fisher vector is above the plain bag.", (FISHER, "linear SVM"), (PLAIN, "linear SVM")),
    ("The network is above the Fisher vector.", (NETWORK, OUTPUT), (FISHER, "linear SVM")),
)


Row = collections.namedtuple("Row", ("features", "seed", *ProbeRow._fields))  # features: what describes the images


def study(scale="folder:../shared/imagenette"):
    """The networks of the table: one recipe, a run a seed."""
    config = default_config()
    config.data.name = scale
    config.data.image_size = (64, 64)
    config.augment.pad_crop, config.augment.flip = 8, True
    config.model.name = "convnet"
    config.model.options.update({"widths": (16, 32, 64, 128), "convolutions": 1, "hidden": (), "batch_norm": True})
    config.batch_size = 50
    config.duration = "30 epochs"
    config.optimizer.learning_rate = 0.02
    config.optimizer.weight_decay = 5e-4
    config.schedule.name = "cosine"
    config.evaluation.every = config.checkpoint.every = "3 epochs"
    return Study(base=config, factors={}, seeds=SEEDS)


def main(argv=None):
    """Runs what is not done of the study, describes and classifies the images, and writes the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="folder:PHOTOS")
    parser.add_argument("--workdir", required=True, help="of the networks' runs")
    parser.add_argument("--output", required=True, metavar="DIR", help="for results.csv, verdicts.json, accuracies.png")
    arguments = parser.parse_args(argv)
    set_up_process()
    output = pathlib.Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    started = environment()
    rows = networks(study(arguments.data), arguments.workdir) + bags(arguments.data, SEEDS)
    write_csv(output / "results.csv", rows)
    verdicts = {"claims": judge(rows), "environment": started}
    (output / "verdicts.json").write_text(json.dumps(verdicts, indent=1) + "\n")
    save_figure(draw(rows), output / "accuracies.png")
    for (features, classifier), found in gather(rows).items():
        print(f"{features}, {classifier}: {np.mean(found):.4f} ± {np.std(found, ddof=1):.4f} over {len(found)} seeds")
    for verdict in verdicts["claims"]:
        print(verdict["claim"], verdict["verdict"])


def bags(name, seeds):
    """[Row] of every bag of words, each with its codebook or mixture of every seed."""
    splits = default_splits(name)
    sets = [load(name, splits[split], image_size=(SIDE, SIDE), channels=1) for split in ("train", "test")]
    batches = [records.read(range(len(records))) for records in sets]
    labels = [batch["label"] for batch in batches]
    rows = []
    for kind, describe in (("dense", dense_sift), ("keypoint", keypoint_sift)):
        found = [_describe_all(describe, batch["image"]) for batch in batches]
        for seed in seeds:
            for encoding, (train, test) in _encode(kind, found, seed).items():
                results = probe(train, labels[0], test, labels[1], classifiers=CLASSICAL, seed=seed)
                rows += [Row(encoding, seed, *result) for result in results]
                print(f"{encoding}, seed {seed}: {results[0].accuracy:.4f}", file=sys.stderr)
    return rows


def _describe_all(describe, images):
    """[(descriptors, places)] of grey images (n, h, w, 1) uint8."""
    floats = images[..., 0].astype(np.float32) / 255
    return joblib.Parallel(n_jobs=-1)(joblib.delayed(describe)(image) for image in floats)


def _encode(kind, found, seed):
    """{name: (vectors to learn from, vectors to test on)} of [(descriptors, places)] of both sets."""
    every = np.concatenate([descriptors for descriptors, _ in found[0]])
    sample = every[np.random.default_rng(seed).permutation(len(every))[:SAMPLE]]
    codebook = make_codebook(sample, words=WORDS, seed=seed)
    words = [[(nearest_words(descriptors, codebook), places) for descriptors, places in one] for one in found]
    histograms = [np.stack([word_histogram(word, size=WORDS) for word, _ in one]) for one in words]
    encoded = {f"{kind} SIFT, histogram": histograms}
    if kind == "dense":
        mixture = fit_mixture(sample, modes=MODES, seed=seed)
        encoded[PYRAMID] = [np.stack([spatial_pyramid(*word, size=WORDS) for word in one]) for one in words]
        encoded[FISHER] = [np.stack([fisher_vector(descriptors, mixture) for descriptors, _ in one]) for one in found]
    roots = {f"{name}, roots": [np.sqrt(x) for x in both] for name, both in encoded.items() if name != FISHER}
    return {**encoded, **roots}


def networks(networks_study, workdir):
    """[Row] of the networks' own outputs, and of the probes on their last stage."""
    cells, failed = run_study(networks_study, workdir, title=NETWORK, docstring=__doc__)
    if failed:
        raise InputError(f"a run failed: {failed}")
    rows = []
    for run, top1, held_out in zip(
        networks_study.runs(), cells[0].values["test_top1"], cells[0].values["validation_top1"], strict=True
    ):
        extractor = Extractor(Trained(pathlib.Path(workdir) / run.id), STAGE)
        (train, label), (test, test_label) = (_read_stage(extractor, split) for split in ("train", "test"))
        n, right = len(test), round(top1 * len(test))
        own = ProbeRow(OUTPUT, "", np.nan, held_out, n, right, right / n, *wilson_interval(right, n))
        results = [own, *probe(train, label, test, test_label, seed=run.seed)]
        rows += [Row(NETWORK if row is own else f"{NETWORK}, {STAGE}", run.seed, *row) for row in results]
    return rows


def _read_stage(extractor, split):
    """(vectors (n, d), labels) of a split."""
    records, _ = split_records(extractor.trained, split)
    batches = list(extractor.stream(records))
    vectors = np.concatenate([batch["features"] for batch in batches])
    return vectors.reshape(len(vectors), -1), np.concatenate([batch["label"] for batch in batches])


def gather(rows):
    """{(features, classifier): accuracies in the order of the seeds}."""
    found = collections.defaultdict(list)
    for row in rows:
        found[row.features, row.classifier].append(row.accuracy)
    return dict(found)


def judge(rows):
    """A verdict on each claim, by the accuracies paired by seed."""
    found = {key: dict(zip(SEEDS, values, strict=True)) for key, values in gather(rows).items()}
    compared = [paired_comparison(found[first], found[second]) for _, first, second in CLAIMS]
    adjusted = holm([comparison.p for comparison in compared])
    return [
        {"claim": claim, "verdict": decide(comparison.difference, p), "p_holm": float(p), **comparison._asdict()}
        for (claim, _, _), comparison, p in zip(CLAIMS, compared, adjusted, strict=True)
    ]


def draw(rows):
    """A line a method: every seed, the mean over seeds with Student's interval, and Wilson's of one seed's n images."""
    found = sorted(gather(rows).items(), key=lambda item: np.mean(item[1]))
    n = rows[0].n
    figure = new_figure(8.5, 0.32 * len(found) + 1.3)
    axes = figure.subplots()
    for place, ((features, _), values) in enumerate(found):
        colour = style(features.startswith(NETWORK))["color"]
        mean = np.mean(values)
        axes.plot(wilson_interval(round(mean * n), n), (place, place), color=colour, alpha=0.25, linewidth=7)
        axes.plot(mean_interval(values) or (mean, mean), (place, place), color=colour, linewidth=2)
        axes.plot(values, [place] * len(values), "o", color=colour, markersize=3.5)
    plain_axes(axes, title="Bags of visual words and a small network", xlabel=f"test accuracy, {n} photographs")
    axes.set_yticks(range(len(found)), [f"{features}: {classifier}" for (features, classifier), _ in found])
    figure.text(0.01, 0.0, "dots: seeds; line: 95 % of their mean; band: 95 % over images (Wilson)", fontsize=8)
    return figure


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"bag_of_words: {error}")
