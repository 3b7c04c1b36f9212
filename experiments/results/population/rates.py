"""Four learning rates of four seeds of a small convolutional network on the digits: what a population costs."""

from jaxcnn import default_config
from jaxcnn.sweeps import Study


def study():
    config = default_config()
    config.data.image_size = (16, 16)
    config.model.name = "convnet"
    with config.unlocked():
        config.model.options.update({"widths": (16, 32), "convolutions": 1, "hidden": ()})
    config.batch_size = 32
    config.duration = "24 epochs"
    config.schedule.name = "cosine"
    config.evaluation.every = config.checkpoint.every = "2 epochs"
    return Study(config, {"optimizer.learning_rate": (0.01, 0.02, 0.05, 0.1)}, seeds=(0, 1, 2, 3))
