"""`python -m jaxcnn.benchmark.start_stages NETWORK BEGUN`: one start of a run, timed by stage; a line of JSON.

BEGUN is the time.time() at which the process was started. Imported are only Python's own modules until a stage asks.
"""

import json
import sys
import time

IMAGES = 64  # of the digits; enough for a batch
BATCHES = {"lenet5_common": 32, "resnet20": 64}
BATCH = 4  # of networks of photographs


def stages(network: str, begun: float) -> dict[str, float]:
    """Starts the training of a network on the digits, at the network's own image size, as `train` does.

    Left out are a run's files: checkpoints, logs, and evaluation, which come after the first step or take milliseconds.

    Args:
      network: a name of jaxcnn.architectures.CLAIMS.
      begun: time.time() of the command.
    Returns:
      Seconds by stage, in order: python (until this module runs), imports, device, data (config, records, statistics of
      the images, the first batch), state (initial weights, with their compilation), tracing and compilation of the
      step, first call.
    """
    found, last = {}, [begun]

    def done(stage: str) -> None:
        now = time.time()
        found[stage], last[0] = now - last[0], now

    done("python")
    from jaxcnn.process import set_up_process

    set_up_process()
    import jax

    from jaxcnn.architectures import CLAIMS
    from jaxcnn.benchmark import steps
    from jaxcnn.benchmark.population import chunk_of
    from jaxcnn.training.compilation import compiler_options, use_persistent_cache
    from jaxcnn.training.config import default_config
    from jaxcnn.training.feed import Feed
    from jaxcnn.training.setup import set_up

    done("imports")
    use_persistent_cache()
    device = jax.devices()[:1]
    done("device")
    shape, config = CLAIMS[network].input, default_config()
    config.model.name, config.batch_size = network, BATCHES.get(network, BATCH)
    config.data.train, config.data.image_size, config.data.channels = f"train[:{IMAGES}]", shape[:2], shape[2]
    setup = set_up(config, devices=device)
    feed, steps_per_call = Feed(setup.train, setup.replicas, seed=0), setup.config.steps_per_call
    function = setup.replicas.map(chunk_of(setup, feed))
    inputs = feed.training(start=0, batch_size=config.batch_size).take(steps_per_call)
    done("data")
    state = setup.replicas.replicate(steps.first_state(setup))
    done("state")
    lowered = function.lower(state, feed.data, inputs)
    done("tracing")
    program = lowered.compile(compiler_options=compiler_options())
    done("compilation")
    jax.block_until_ready(program(state, feed.data, inputs))
    done("first call")
    return found


if __name__ == "__main__":
    print(json.dumps(stages(sys.argv[1], float(sys.argv[2]))))
