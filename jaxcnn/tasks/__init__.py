"""The kinds of learning: `task.py` is the contract, every other file one kind.

A run names its kind in config.task.name: a key of TASKS, or `package.module:attribute`, a Kind of the user's own.
"""

from jaxcnn import trust
from jaxcnn.errors import InputError
from jaxcnn.tasks.adversarial import ACGAN, GAN
from jaxcnn.tasks.bagan import BAGAN
from jaxcnn.tasks.captioning import CAPTIONING
from jaxcnn.tasks.classification import CLASSIFICATION
from jaxcnn.tasks.detection import DETECTION
from jaxcnn.tasks.embedding import EMBEDDING
from jaxcnn.tasks.forgetting import FORGETTING
from jaxcnn.tasks.multilabel import MULTILABEL
from jaxcnn.tasks.reading import READING
from jaxcnn.tasks.reconstruction import RECONSTRUCTION
from jaxcnn.tasks.regression import REGRESSION
from jaxcnn.tasks.task import (
    AXIS,
    About,
    Beginning,
    Kind,
    Measure,
    Player,
    Sample,
    Scores,
    Task,
    Terms,
    gathered,
    init_by_image,
    means_alone,
    own_parts,
)
from jaxcnn.tasks.translation import TRANSLATION

__all__ = [
    "AXIS",
    "RECONSTRUCTION",
    "TASKS",
    "About",
    "Beginning",
    "Kind",
    "Measure",
    "Player",
    "Sample",
    "Scores",
    "Task",
    "Terms",
    "gathered",
    "init_by_image",
    "kind_allowed",
    "means_alone",
    "own_parts",
]

TASKS = {
    "acgan": ACGAN,
    "bagan": BAGAN,
    "captioning": CAPTIONING,
    "classification": CLASSIFICATION,
    "detection": DETECTION,
    "embedding": EMBEDDING,
    "gan": GAN,
    "learning_without_forgetting": FORGETTING,
    "multilabel": MULTILABEL,
    "reading": READING,
    "reconstruction": RECONSTRUCTION,
    "regression": REGRESSION,
    "translation": TRANSLATION,
}


def kind_allowed(name: str) -> Kind:
    """The Kind of a name of TASKS, or of `package.module:attribute` where the user has allowed it.

    Raises:
      InputError: the name is not allowed, or names something else; the Kind has no measures, or selects by others.
      ValueError: no such name; the nearest is named.
    """
    found = trust.resolve(name, TASKS, kind="task")
    if not isinstance(found, Kind):
        raise InputError(f"task {name} is an object of type {type(found).__name__}; it is {trust.WANTED['task']}.")
    if not found.measures:
        raise InputError(f"task {name} has no measures; a jaxcnn.tasks.Kind has one at least, its loss for example.")
    if wrong := [key for key, measure in found.measures.items() if not isinstance(measure, Measure)]:
        raise InputError(f"task {name}: measures['{wrong[0]}'] is no jaxcnn.tasks.Measure; Measure() is one.")
    if isinstance(found.selects, str):
        raise InputError(f"task {name}: selects is {found.selects!r}; it is a tuple, ('{found.selects}',).")
    if unknown := sorted(set(found.selects) - set(found.measures)):
        raise InputError(f"task {name}: selects names {', '.join(unknown)}, which is not among its measures.")
    return found
