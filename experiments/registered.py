"""Do layers that share no weights beat convolutions where faces are registered, and fall behind where they are not?

Claim: the lectures, and Taigman et al. 2014 ("DeepFace", section 3): on aligned faces a place of the image is a place
    of the face, and locally connected layers can learn for each what matters there; where faces are not aligned, shared
    weights are the better ones.
Protocol: `deepface_small` with its three locally connected layers, and with convolutions of the same sizes in their
    place. Five images a person to learn from, the others to test on, drawn by the seed; as they are ("aligned"), or
    every image, of both parts, moved by up to an eighth of its width in either direction ("shifted"). ORL's faces are
    upright and centred by the camera, not registered by their eyes; they are scaled to 75x62. No augmentation, Adam at
    0.001, cosine decay, 300 steps of 40, dropout. The last step is tested, so that no image chooses anything.
Refuted if: convolutions test better on aligned faces, or locally connected layers on shifted ones, beyond what the
    seeds explain (paired t, Holm).
Result: on aligned faces 81.2 against 73.0 % (supported); on shifted ones 34.6 against 27.3 %, refuted: weights of their
    own are ahead there too (results/registered).
Cost: 32 runs of a minute of one CPU core. FACES holds a folder for each person, as ORL's s1 to s40; without --scale
    the embedded digits are people.
    python -m jaxcnn sweep experiments/registered.py --scale folder:FACES --workdir runs/registered
"""

import pathlib
import sys

from jaxcnn import default_config
from jaxcnn.sweeps import Claim, Study, scale_config

sys.path.append(str(pathlib.Path(__file__).parent))  # where runs find _people, wherever they are started

LOCAL, PLACE = "model.options.local", "faces"


def study(scale="digits"):
    """Two networks, two sets of images."""
    config = default_config()
    config.data.name, config.data.data_dir = "_people:images", scale_config(scale).data.name
    config.model.name, config.model.options = "deepface_small", {"local": True}
    config.batch_size, config.duration = 40, "300 steps"
    config.optimizer.name, config.optimizer.learning_rate = "adam", 1e-3
    config.schedule.name = "cosine"
    config.evaluation.every = config.checkpoint.every = "100%"
    places = {place: splits(place) for place in ("aligned", "shifted")}
    sides = {place: [{LOCAL: local, PLACE: place} for local in (True, False)] for place in places}
    return Study(
        base=config,
        factors={LOCAL: (True, False), PLACE: places},
        seeds=tuple(range(8)),
        claims=(
            Claim("On aligned faces locally connected layers test better than convolutions.", *sides["aligned"]),
            Claim("On shifted faces convolutions test better than locally connected layers.", *sides["shifted"][::-1]),
        ),
    )


def splits(place):
    """{config key: its value by the seed} of the images in a place."""
    parts = {"train": "learned", "validation": "asked", "test": "asked"}
    return {f"data.{split}": lambda seed, part=part: f"{part} {place} {seed}" for split, part in parts.items()}
