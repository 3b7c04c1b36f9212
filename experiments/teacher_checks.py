"""Do the checks that a teacher asks for hold for every small network of the curriculum?

Claim: CS231n ("babysitting the learning process"): before a long run the loss is that of guessing, it rises with
    regularisation, and twenty images are learned to zero error.
Protocol: each network on the embedded digits, five seeds: the loss before the first step within 5 % of ln 10; the
    objective with decay above that without; 20 images learned by 400 steps of Adam without augmentation.
Refuted if: a check fails for a network; the table names it.
Cost: 45 rounds of about 10 seconds on 2 CPU cores:
    python experiments/teacher_checks.py --output runs/teacher_checks.csv
"""

import argparse
import csv

from jaxcnn.sweeps import scale_config
from jaxcnn.training.preflight.checks import teacher_checks

NETWORKS = {
    "lenet5": {},
    "lenet5_common": {},
    "mlp": {},
    "convnet": {"widths": (16, 32, 64), "convolutions": 1, "hidden": (64,)},
    "nin_cifar": {},
    "vgg_a_small": {"widths": (8, 16, 32, 64, 64), "hidden": (128, 128)},
    "googlenet_small": {"width": 0.125},
    "resnet20": {},
    "plain20": {},
}
SEEDS = range(5)


def main():
    """Writes a row for each network, seed and check."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", required=True, metavar="FILE.csv")
    arguments, failed = parser.parse_args(), 0
    with open(arguments.output, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["network", "seed", "check", "passed", "detail"])
        for name, options in NETWORKS.items():
            passed = {}
            for seed in SEEDS:
                config = scale_config("digits")
                config.model.name, config.model.options, config.seed = name, options, seed
                if name.startswith("lenet5"):
                    config.data.image_size = (32, 32)
                for row in teacher_checks(config, line=lambda text: None):
                    writer.writerow([name, seed, row["check"], row["passed"], row["detail"]])
                    passed.setdefault(row["check"], []).append(row["passed"])
            failed += sum(result is False for results in passed.values() for result in results)
            counts = (
                f"{check}: {sum(map(bool, results))} of {len(results)}" if None not in results else f"{check}: n/a"
                for check, results in passed.items()
            )
            print(f"{name}: {', '.join(counts)}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
