"""The verbs of who is on an image: verify, identify."""

from __future__ import annotations

import json
from collections.abc import Callable

from jaxcnn.cli.subjects import check_positive
from jaxcnn.cli.terminal import check_picture, refuse, table, trusting
from jaxcnn.errors import InputError
from jaxcnn.names import shown


def add(verb: Callable) -> None:
    """Adds these verbs; verb(function, name, help) gives the parser of one."""
    _add_verify(verb(_verify, "verify", "tell whether two images show one person: ROC, rates, LFW's protocol"))
    _add_identify(verb(_identify, "identify", "tell who of a gallery an image shows: ranks, and the open set"))


def _add_verify(parser):
    _add_network(parser)
    parser.add_argument(
        "--data",
        default="test",
        metavar="folder:PEOPLE|SPLIT|FILE.npz",
        help="a folder for each person, a split of the run or a file of features; default: test",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--pairs", default=None, metavar="FILE", help="pairs in the format of LFW's pairs.txt")
    which.add_argument("--draw", default=None, metavar="FOLDSxPAIRS", help="draw so many pairs of each kind: 10x30")
    parser.add_argument("--seed", type=int, default=None, help="of --draw; default: 0")
    parser.add_argument("--curve", default=None, metavar="FILE.png", help="draw the ROC")
    parser.add_argument("--worst", default=None, metavar="FILE.png", help="draw the worst pairs with their faces")


def _add_identify(parser):
    _add_network(parser)
    for option, text in (("gallery", "images of people who are known"), ("probe", "images of whom to name")):
        parser.add_argument(
            f"--{option}",
            required=True,
            metavar="folder:PEOPLE|SPLIT|FILE.npz",
            help=f"{text}: a folder for each person, a split of the run or a file of features",
        )
    parser.add_argument(
        "--unknown", type=int, default=0, metavar="PEOPLE", help="leave so many people out of the gallery, by --seed"
    )
    parser.add_argument("--seed", type=int, default=None, help="of --unknown; default: 0")
    parser.add_argument("--curve", default=None, metavar="FILE.png", help="draw the share of probes over the rank")
    parser.add_argument("--worst", default=None, metavar="FILE.png", help="draw the wrong probes with their faces")


def _add_network(parser):
    parser.add_argument("--workdir", default=None, metavar="RUN", help="the run; files of features need none")
    parser.add_argument(
        "--checkpoint", default="best", metavar="best|latest|STEP", help="default: best on the held-out slice"
    )
    parser.add_argument("--stage", default="", help="whose vectors; default: embedding, or the last before the result")
    parser.add_argument("--data_dir", default="", help="where TFDS sets lie")
    parser.add_argument("--metric", choices=("cosine", "euclidean"), default="cosine", help="default: cosine")
    parser.add_argument("--flip", action="store_true", help="average with the vector of the mirror image")
    parser.add_argument(
        "--crops", type=int, choices=(1, 10, 12, 144), default=1, help="average over crops, mirrored too; default: 1"
    )
    parser.add_argument(
        "--whiten", type=int, default=0, metavar="N", help="N principal components, of variance 1; default: 0, none"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    trusting(parser)


def _verify(arguments):
    """Tells by their vectors whether two images show one person, and how often that is right:

      python -m jaxcnn verify --workdir RUN --data folder:PEOPLE --pairs pairs.txt --curve roc.png --worst worst.png
      python -m jaxcnn verify --data people.npz --draw 10x30 --metric euclidean --whiten 64

    PEOPLE holds a folder for each person. Pairs are in folds that share no person: those of a file in LFW's format, or
    drawn by seed. The accuracy is that of LFW's protocol: the threshold is chosen on the other folds; mean and standard
    error over folds. Beside it stand the area below the ROC, the equal error rate, and true accepts at rates of false
    accepts with Wilson's intervals over pairs. Whitening is learned from the images of the other folds.
    """
    from jaxcnn.transfer.faces.verification import pair_scores, verify

    _check(arguments, "curve", "worst")
    if arguments.draw is None:
        refuse(arguments, ("seed",), "for --draw")
    (people,), stage = _people(arguments, (arguments.data,))
    pairs = _pairs(arguments, people)
    rows = pairs.rows
    options = {"metric": arguments.metric, "whiten": arguments.whiten}
    found = verify(pair_scores(people.vectors(rows), pairs.among(rows), **options), pairs)
    counted = f"{found.same} pairs of one person, {found.different} of two"
    below = _below(arguments, stage, f"{people.name}: {counted}")
    _draw_verification(arguments, people, pairs, found, below)
    if arguments.json:
        print(json.dumps(_verification_row(arguments, people, stage, pairs, found)))
        return
    _print_verification(people, stage, found)


def _identify(arguments):
    """Tells who of a gallery an image shows, by the person whose image is most alike:

      python -m jaxcnn identify --workdir RUN --gallery folder:KNOWN --probe folder:NEW --worst wrong.png
      python -m jaxcnn identify --gallery train.npz --probe test.npz --unknown 10 --seed 1

    People are matched by their names; an image that is a probe too is left out of the gallery. Closed set: the share of
    probes whose person is among the first 1, 5 and 10. Open set, where some probes are of people who are not in the
    gallery: the share of known probes that are above a threshold and whose person is first, for thresholds that let at
    most a tenth and a hundredth of the unknown pass.
    Intervals are Wilson's over probes. Whitening is learned from the gallery.
    """
    import numpy as np

    from jaxcnn.transfer.faces.identification import identify
    from jaxcnn.transfer.faces.verification import whitening

    _check(arguments, "curve", "worst")
    if not arguments.unknown:
        refuse(arguments, ("seed",), "for --unknown")
    if arguments.gallery == arguments.probe:
        raise InputError(f"--gallery and --probe are both {arguments.gallery}: every image would find itself.")
    (gallery, probe), stage = _people(arguments, (arguments.gallery, arguments.probe))
    kept = _without_unknown(gallery, arguments.unknown, arguments.seed or 0)
    kept, left_out = _without_probes(gallery, kept, probe)
    known, probes = gallery.vectors(kept), probe.vectors(np.arange(len(probe.label)))
    if known.shape[1] != probes.shape[1]:
        raise InputError(
            f"vectors of the gallery have {known.shape[1]} numbers, those of the probes {probes.shape[1]}: they are of "
            "one stage of one network."
        )
    if arguments.whiten:
        components = whitening(known, arguments.whiten)
        known, probes = components.transform(known), components.transform(probes)
    found = identify(known, gallery.people[kept], probes, probe.people, metric=arguments.metric)
    counted = f"{found.known} probes of people in the gallery, {found.unknown} of others"
    counted += f"; {left_out} images of the gallery are probes, and left out" if left_out else ""
    below = _below(arguments, stage, f"{probe.name} among {gallery.name}: {counted}")
    _draw_identification(arguments, gallery, kept, probe, (known, probes), found, below)
    if arguments.json:
        print(json.dumps(_identification_row(arguments, gallery, probe, stage, found, left_out)))
        return
    print(shown(f"{probe.name} among {gallery.name}: {found.people} people{_of(stage)}"))
    print(counted)
    _print_identification(found)


def _check(arguments, *pictures):
    if arguments.whiten:
        check_positive(arguments, "whiten")
    for name in pictures:
        if path := getattr(arguments, name):
            check_picture(path)


def _people(arguments, names):
    """([People], the stage whose vectors they have; empty of files of features)."""
    from jaxcnn.evaluation.trained import Trained
    from jaxcnn.transfer.faces.people import default_stage, opened

    computed = [name for name in names if not name.endswith(".npz")]
    for option in ("flip", "stage"):
        if not computed and getattr(arguments, option):
            raise InputError(f"--{option} is of a network, but the vectors of a file are as they are: give --workdir.")
    if not computed and arguments.crops > 1:
        raise InputError("--crops is of a network, but the vectors of a file are as they are: give --workdir.")
    trained = Trained(arguments.workdir, arguments.checkpoint) if computed and arguments.workdir else None
    stage = (arguments.stage or default_stage(trained)) if trained else ""
    options = {"crops": arguments.crops, "flip": arguments.flip, "data_dir": arguments.data_dir}
    return [opened(name, trained, stage, **options) for name in names], stage


def _save(figure, below, path):
    from jaxcnn.visualize.caption import write_caption
    from jaxcnn.visualize.figure import save_figure

    write_caption(figure, below)
    save_figure(figure, path)


def _below(arguments, stage, counted):
    """The lines below a picture: of what, and of which run where the vectors are of one."""
    from jaxcnn.visualize.caption import caption_of

    if not stage:
        return counted
    return f"{caption_of(arguments.workdir, checkpoint=arguments.checkpoint)}, stage {stage}\n{counted}"


def _of(stage):
    return f", by stage {stage}" if stage else ""


def _pairs(arguments, people):
    from jaxcnn.transfer.faces.pairs import draw_pairs, locate_pairs, read_pairs

    if arguments.draw is None:
        named, files = read_pairs(arguments.pairs), people.files()
        if not files:
            raise InputError(
                f"{people.name} is no folder, and --pairs names its files; --draw draws pairs of any data."
            )
        return locate_pairs(named, people.people.tolist(), files)
    folds, times, each = arguments.draw.partition("x")
    if not (times and folds.isdecimal() and each.isdecimal()):
        raise InputError(f"--draw is {arguments.draw!r}; it is FOLDSxPAIRS, as 10x30.")
    return draw_pairs(people.label, folds=int(folds), each=int(each), seed=arguments.seed or 0)


def _without_unknown(gallery, count, seed):
    """The rows of a gallery without those of `count` people, drawn by seed."""
    import numpy as np

    there = np.unique(gallery.label)
    if not 0 <= count < len(there):
        raise InputError(f"--unknown is {count}; the gallery holds {len(there)} people, of whom some must stay.")
    left = np.random.default_rng(seed).permutation(there)[count:]
    return np.flatnonzero(np.isin(gallery.label, left))


def _without_probes(gallery, kept, probe):
    """(The rows of a gallery that are no probes too, how many are): such an image would find itself."""
    import numpy as np

    there, probes = gallery.described(), set(probe.described())
    left = [row for row in kept if not there or there[row] not in probes]
    if not left:
        raise InputError("every image of the gallery is a probe too, and would find itself: name others by --gallery.")
    return np.array(left), len(kept) - len(left)


WORST = 6  # pairs of each kind, or probes, that are drawn


def _draw_verification(arguments, people, pairs, found, below):
    from jaxcnn.transfer.faces.verification import worst_pairs
    from jaxcnn.visualize.verification import draw_roc, draw_worst_pairs

    if arguments.curve:
        _save(draw_roc(found), below, arguments.curve)
    if arguments.worst:
        names = people.people
        halves = [
            [_shown_pair(people, names, pairs, found, number) for number in numbers]
            for numbers in worst_pairs(found, pairs, count=WORST)
        ]
        _save(draw_worst_pairs(*halves), below, arguments.worst)


def _draw_identification(arguments, gallery, kept, probe, vectors, found, below):
    from jaxcnn.transfer.faces.identification import wrong_probes
    from jaxcnn.visualize.verification import draw_match, draw_worst_pairs

    if arguments.curve:
        _save(draw_match(found), below, arguments.curve)
    if arguments.worst:
        known, probes = vectors
        options = {"metric": arguments.metric, "count": WORST}
        wrong = wrong_probes(known, gallery.people[kept], probes, probe.people, **options)
        own = [_shown_probe(gallery, probe, w.probe, kept[w.own], w.own_score) for w in wrong]
        taken = [_shown_probe(gallery, probe, w.probe, kept[w.taken], w.taken_score) for w in wrong]
        titles = "wrong probes, and their person", "whom they are taken for"
        _save(draw_worst_pairs(own, taken, titles=titles), below, arguments.worst)


def _shown_probe(gallery, probe, row, place, score):
    images = probe.images([row])[0], gallery.images([place])[0]
    return images, (probe.people[row], gallery.people[place]), score, None


def _shown_pair(people, names, pairs, found, number):
    rows = [pairs.first[number], pairs.second[number]]
    return people.images(rows), names[rows], found.scores[number], found.by_folds.accepted[number]


def _print_verification(people, stage, found):
    folds, rates = found.by_folds, found.at_rates
    print(shown(f"{people.name}: {found.same} pairs of one person, {found.different} of two people{_of(stage)}"))
    print(
        f"accuracy {folds.accuracy:.4f}, standard error {folds.standard_error:.4f}, over {len(folds.accuracies)} folds"
    )
    print(f"area below the ROC {found.area:.4f}, equal error rate {found.equal_error_rate:.4f}")
    table(
        ("false accepts", "true accepts", "95 % interval", "threshold", "note"),
        [
            (f"{r.false_accept_rate:g}", f"{r.true_accept_rate:.4f}", _interval(r), f"{r.threshold:.4g}", r.note)
            for r in rates
        ],
    )


def _print_identification(found):
    rows = [(f"closed set, rank {share.at}", share) for share in found.ranks]
    rows += [(f"open set, false alarm rate {share.at:g}", share) for share in found.detected]
    table(
        ("", "share of probes", "95 % interval", "n", "note"),
        [(name, f"{share.rate:.4f}", _interval(share), share.n, share.note) for name, share in rows],
    )


def _interval(found):
    return f"{found.low:.4f} to {found.high:.4f}"


def _options_row(arguments, stage):
    names = ("metric", "flip", "crops", "whiten")
    return {"stage": stage, **{name: getattr(arguments, name) for name in names}}


def _verification_row(arguments, people, stage, pairs, found):
    folds = found.by_folds
    return {
        "data": people.name,
        **_options_row(arguments, stage),
        "same": found.same,
        "different": found.different,
        "accuracy": folds.accuracy,
        "standard_error": folds.standard_error,
        "folds": list(folds.accuracies),
        "thresholds": list(folds.thresholds),
        "area": found.area,
        "equal_error_rate": found.equal_error_rate,
        "at_rates": [rate._asdict() for rate in found.at_rates],
    }


def _identification_row(arguments, gallery, probe, stage, found, left_out):
    return {
        "gallery": gallery.name,
        "probe": probe.name,
        **_options_row(arguments, stage),
        "left_out": left_out,
        "people": found.people,
        "known": found.known,
        "unknown": found.unknown,
        "ranks": [share._asdict() for share in found.ranks],
        "detected": [share._asdict() for share in found.detected],
    }
