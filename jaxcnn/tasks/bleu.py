"""BLEU (Papineni, Roukos, Ward and Zhu 2002) of a corpus, by sacrebleu (Post 2018, arXiv:1804.08771)."""

import itertools
from collections.abc import Sequence

from jaxcnn.errors import InputError, how_to_install
from jaxcnn.tasks.task import Measure

MEASURES = {f"bleu_{order}": Measure("points", label=f"BLEU-{order}") for order in (1, 2, 3, 4)}


def check_installed() -> None:
    """Raises InputError, which says how to install it, without sacrebleu."""
    try:
        import sacrebleu  # noqa: F401
    except ImportError as error:
        install = how_to_install("sacrebleu", "captions")
        raise InputError(f"BLEU is computed by sacrebleu, which is not installed: {install}") from error


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[dict[str, float], str]:
    """BLEU-1 to BLEU-4 of texts of words with a space between two; no other tokenisation is applied.

    BLEU-k is the geometric mean of the shares of n-grams, n from 1 to k, that occur in a reference, times
    exp(1 - r / c) where the texts' length c is below that of the references of the nearest lengths, r. Shares of zero
    are smoothed as sacrebleu does by default.

    Args:
      texts: n strings.
      references: n lists of one string or more each.
    Returns:
      ({"bleu_1": float from 0 to 1, ...}, sacrebleu's signature of BLEU-4).
    """
    from sacrebleu.metrics import BLEU

    columns = [list(column) for column in itertools.zip_longest(*references)]  # None where an image has fewer
    found = {}
    for order in (1, 2, 3, 4):
        metric = BLEU(tokenize="none", force=True, max_ngram_order=order)
        found[f"bleu_{order}"] = metric.corpus_score(texts, columns).score / 100
    return found, str(metric.get_signature())
