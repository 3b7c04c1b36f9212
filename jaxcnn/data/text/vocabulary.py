"""The words of sentences, as tokens."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from jaxcnn.data.text.tokens import END, FRAMING

UNKNOWN = "<unknown>"
WORD = re.compile(r"\w+(?:['’]\w+)*")


def words_of(sentence: str) -> list[str]:
    """The words of a sentence, in lower case; signs are left out, but for an apostrophe within a word."""
    return WORD.findall(sentence.lower())


class Vocabulary:
    """The words that occur often enough in the sentences of a training part, the commonest first.

    Args:
      sentences: lists of words.
      least: how often a word must occur.

    Attributes:
      classes: <begin>, <end>, <unknown> and the words; class k - 1 is token k.
    """

    def __init__(self, sentences: Iterable[Sequence[str]], *, least: int = 1) -> None:
        counts = Counter(word for sentence in sentences for word in sentence)
        words = sorted((word for word in counts if counts[word] >= least), key=lambda word: (-counts[word], word))
        self.classes = (*FRAMING, UNKNOWN, *words)
        self._tokens = {word: number for number, word in enumerate(self.classes, 1)}

    def tokens(self, sentence: Sequence[str]) -> list[int]:
        """The tokens of a list of words, with the end behind them."""
        unknown = self._tokens[UNKNOWN]
        return [*(self._tokens.get(word, unknown) for word in sentence), END]

    def unknown(self, sentences: Iterable[Sequence[str]]) -> tuple[int, int]:
        """How many words of the sentences are unknown, and how many words there are."""
        words = [word for sentence in sentences for word in sentence]
        return sum(word not in self._tokens for word in words), len(words)
