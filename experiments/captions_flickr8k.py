"""How far above a constant caption, and above the caption of the nearest photograph, does a captioner come?

Claim: Vinyals et al. 2015 (arXiv:1411.4555) and Xu et al. 2015 (arXiv:1502.03044, table 1) on Flickr8k with GoogLeNet
    and VGG-19: BLEU-1 of 63 and 67. With 753 training photographs and a trunk of another size those figures are out of
    reach; the order, captioner above nearest neighbour above constant, is what can be tested.
Protocol: CAPTIONS in COCO's layout with its splits. A trunk that stays as it is, the network of the run SOURCE up to a
    stage; `caption_lstm` and `caption_attention` on it, 3 seeds, beam search of width 3, the checkpoint with the best
    BLEU-4 on the held-out photographs. Beside them the training caption that occurs most often, of equals the one whose
    words do, and for each photograph the first caption of the nearest training photograph (cosine of the mean of the
    stage's map; the first that Devlin et al. 2015, arXiv:1505.04467, compare with). Corpus BLEU on test, by sacrebleu.
Refuted if: the mean BLEU-4 of the seeds of a captioner is not above that of the nearest photograph's caption.
Cost: 6 runs of 20 epochs, 15 minutes of one core. SOURCE may be a ResNet-20 that `convert` wrote:
    python experiments/captions_flickr8k.py --data captions:CAPTIONS --source SOURCE --workdir runs/flickr8k \\
        --output experiments/results/captions_flickr8k
"""

import argparse
import collections
import json
import pathlib
import sys

import numpy as np

from jaxcnn import InputError, Trained, default_config, train
from jaxcnn.data import default_splits, load
from jaxcnn.evaluation.error_table import write_csv
from jaxcnn.process import set_up_process
from jaxcnn.tasks.captioning import bleu_of
from jaxcnn.tasks.writing import without_end
from jaxcnn.training.rundir.environment import environment
from jaxcnn.transfer.features import Extractor
from jaxcnn.transfer.neighbours import nearest_rows

SEEDS = (0, 1, 2)
HEADS = {
    "caption_lstm": ("image", "embed", "decoder", "output"),
    "caption_attention": ("begin_*", "attend", "gate", "embed", "decoder", "of_*", "output"),
}

Row = collections.namedtuple("Row", ("method", "seed", "n", "bleu_1", "bleu_2", "bleu_3", "bleu_4"))


def main(argv=None):
    """Measures the baselines and the captioners, and writes the table and the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="captions:CAPTIONS")
    parser.add_argument("--source", required=True, metavar="RUN", help="the run of the trunk")
    parser.add_argument("--stage", default="stage3", help="of its network, a map; default: stage3")
    parser.add_argument("--head", default="fc", help="its layer that classifies, which is left out; default: fc")
    parser.add_argument("--duration", default="20 epochs", help="default: 20 epochs")
    parser.add_argument("--workdir", required=True, help="of the captioners' runs")
    parser.add_argument("--output", required=True, metavar="DIR", help="for results.csv and summary.json")
    arguments = parser.parse_args(argv)
    set_up_process()
    output = pathlib.Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    rows, signature = baselines(arguments)
    rows += [captioner(arguments, name, seed) for name in HEADS for seed in SEEDS]
    write_csv(output / "results.csv", rows)
    about = {"command": arguments.__dict__, "signature": signature, "environment": environment()}
    (output / "summary.json").write_text(json.dumps({"means": summary(rows), **about}, indent=1) + "\n")
    for method, means in summary(rows).items():
        print(f"{method}: " + ", ".join(f"{name} {100 * value:.1f}" for name, value in means.items()))
    print(signature)


def baselines(arguments):
    """([Row] of the captions that need no training, sacrebleu's signature)."""
    source = Trained(arguments.source)
    splits = default_splits(arguments.data)
    options = {"image_size": source.shape[:2], "channels": source.shape[2]}
    learned, asked = (load(arguments.data, splits[name], **options) for name in ("train", "test"))
    known, test = (records.read(range(len(records))) for records in (learned, asked))
    extract = Extractor(source, arguments.stage, pool="mean")
    _, nearest = nearest_rows(extract(known["image"]), extract(test["image"]), k=1)
    true = np.asarray(without_end(known["captions"]))
    constant = np.broadcast_to(most_frequent(true), (len(test["image"]), true.shape[-1]))
    found = {"most frequent caption": constant, "nearest photograph's": true[nearest[:, 0], 0]}
    rows = []
    for method, texts in found.items():
        scores, signature = bleu_of(learned.classes, texts, test["captions"])
        rows.append(Row(method, "", len(texts), *scores.values()))
    return rows, signature


def most_frequent(captions):
    """(l,) tokens of the caption that occurs most often, of equals the one whose words occur most often on average."""
    texts = [tuple(text) for text in captions.reshape(-1, captions.shape[-1]).tolist() if any(text)]
    whole = collections.Counter(texts)
    words = collections.Counter(token for text in texts for token in text if token)

    def rank(text):
        return whole[text], np.mean([words[token] for token in text if token]), text

    return np.array(max(whole, key=rank))


def captioner(arguments, name, seed):
    """The Row of a captioner that learns behind the source's trunk."""
    run = pathlib.Path(arguments.workdir) / f"{name}-{seed}"
    train(config(arguments, name, seed), run, quiet=True)
    _, found = Trained(run).evaluate("test")
    return Row(name, seed, found["n"], *(found[f"bleu_{order}"] for order in (1, 2, 3, 4)))


def config(arguments, name, seed):
    """The recipe of a captioner."""
    source, config = Trained(arguments.source), default_config()
    config.seed = seed
    config.data.name, config.data.image_size = arguments.data, source.shape[:2]
    config.task.name, config.task.options = "captioning", {"beam": 3, "penalty": 0.7}
    config.model.name, config.model.dropout = name, 0.5
    backbone = {key: value for key, value in source.config.model.options.items() if key != "num_classes"}
    config.model.options = {"backbone": source.config.model.name, "backbone_options": backbone}
    config.model.options.update({"stage": arguments.stage, "units": 256, "embedding": 128})
    config.finetune.source, config.finetune.freeze = arguments.source, ("trunk",)
    config.finetune.rename, config.finetune.drop = (("*", "trunk/*"),), (arguments.head,)
    config.finetune.head = HEADS[name]
    config.batch_size, config.duration = 32, arguments.duration
    config.optimizer.name, config.optimizer.learning_rate, config.optimizer.clip = "adam", 1e-3, 5.0
    config.schedule.name, config.schedule.warmup = "cosine", "5%"
    config.evaluation.every = config.checkpoint.every = "2 epochs"
    return config


def summary(rows):
    """{method: {"bleu_1": its mean over seeds, ...}}."""
    methods = {row.method: [own for own in rows if own.method == row.method] for row in rows}
    return {
        method: {name: float(np.mean([getattr(row, name) for row in own])) for name in Row._fields[3:]}
        for method, own in methods.items()
    }


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"captions_flickr8k: {error}")
