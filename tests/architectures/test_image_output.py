"""The halves of an autoencoder."""

import numpy as np
import pytest

from jaxcnn.architectures import create

NETWORKS = [("autoencoder_mlp", {"hidden": (6, 5), "code": 2}), ("autoencoder_conv", {"widths": (4, 6), "code": 3})]


@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=[name for name, _ in NETWORKS])
def test_encoded_and_decoded_an_image_is_that_of_the_whole_network(name, options, draw):
    model = create(name, **options)
    x = np.random.default_rng(0).uniform(size=(3, 7, 10, 1)).astype(np.float32)
    variables = draw(model, x.shape[1:])
    image, features = model.apply(variables, x, train=False)
    code = model.apply(variables, x, method="encode")
    np.testing.assert_array_equal(code, features["code"])
    assert np.ptp(code, axis=0).min() > 0
    decoded = model.apply(variables, code[::-1], x.shape[1:], method="decode")
    np.testing.assert_allclose(decoded, image[::-1], rtol=1e-5, atol=1e-6)
    _, halved = model.apply(variables, 0 * x, train=False, code=code)
    assert list(halved) == list(features)[list(features).index("code") :]
