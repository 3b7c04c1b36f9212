"""Learning without forgetting (Li and Hoiem 2016, arXiv:1606.09282): a second task, held to the old network's answers.

The network has two heads: its logits are for the new classes, its feature `old` holds those for the old ones, as
jaxcnn.transfer.forgetting:TwoHeads has. What the network that the run begins with answers to the new images is recorded
once (figure 3); classification's objective is minimised plus

    weight * distillation(features["old"], recorded)   (equation 2)
"""

from jaxcnn.errors import InputError
from jaxcnn.operators.loss import distillation
from jaxcnn.tasks import classification
from jaxcnn.tasks.classification import CLASSIFICATION
from jaxcnn.tasks.task import About, Task, Terms

OLD = "old"  # the feature that holds the logits for the old classes, and the recorded ones in a batch


def create(about: About, *, weight: float = 1.0, temperature: float = 2.0) -> Task:
    """The Task of `about` with the old responses.

    Args:
      about: an About.
      weight: of the loss against the old responses, the paper's lambda_old.
      temperature: of the distillation; the paper's is 2.
    Raises:
      ValueError: a number is out of range, or images are mixed, whose recorded responses would be others.
    """
    if not weight >= 0:
        raise ValueError(f"weight is {weight}; it is a number of 0 or more")
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature is {temperature}; it is above 0")
    if about.mix is not None:
        raise ValueError("the old responses are to whole images, recorded once; mixup and cutmix ask for others")
    task = classification.create(about)
    (player,) = task.players

    def objective(module, batch, numbers):
        heads = {}

        def network(images, *, train):
            logits, features = module(images, train=train)
            heads.update(features)
            return logits, features

        terms = player.objective(network, batch, numbers)
        old = distillation(_old(heads), batch[OLD], temperature=temperature, squared_temperature=False)
        return Terms(terms.loss + weight * old, terms.means)

    def before(module, batch):
        return {OLD: _old(classification.infer(about, module, batch)["features"])}

    return task._replace(players=(player._replace(objective=objective),), before=before)


def _old(features):
    if OLD not in features:
        raise InputError(
            f"config.task.name: the network has no feature '{OLD}', the logits for the old classes; "
            "jaxcnn.transfer.forgetting:TwoHeads has."
        )
    return features[OLD]


FORGETTING = CLASSIFICATION._replace(create=create)
