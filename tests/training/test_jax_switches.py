"""JAX's own switches: 64 bits, and no compilation."""

import jax
import numpy as np
import pytest

from jaxcnn import InputError, Trained, create, train


@pytest.mark.long
def test_a_run_in_64_bits_keeps_its_state_in_32(tiny_config, tmp_path, one_device):
    changes = {"optimizer.accumulate": 2, "optimizer.ema": 0.9, "steps_per_call": 2, "augment.mixup": 0.2}
    config = tiny_config({**changes, "duration": "4 steps", "evaluation.every": "2 steps"})
    config.model.options.batch_norm = True
    with jax.enable_x64(True):
        done = train(config, tmp_path, quiet=True, devices=one_device)
        found = Trained(tmp_path).evaluate("test")[1]
    assert {x.dtype for x in jax.tree.leaves(done.state.params)} == {jax.numpy.dtype("float32")}
    assert found["n"] == 360 and found["top1"] == done.test["top1"]


def test_without_compilation_networks_run_and_what_must_compile_says_so(tiny_run, tiny_config, tmp_path):
    x = jax.random.uniform(jax.random.key(0), (2, 8, 8, 1))
    model = create("convnet", num_classes=10, widths=(4,), convolutions=1, hidden=())
    variables = model.init(jax.random.key(1), x, train=False)
    expected, _ = model.apply(variables, x, train=False)
    with jax.disable_jit():
        found, _ = model.apply(variables, x, train=False)
        for start in (lambda: train(tiny_config(), tmp_path / "run"), lambda: Trained(tiny_run).evaluate("test")):
            with pytest.raises(InputError, match="JAX_DISABLE_JIT is set, but jaxcnn compiles"):
                start()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert not (tmp_path / "run").exists()
