"""PyTorch's side of `benchmark steps` does the work of ours: as many parameters and multiply-adds."""

import pytest

from jaxcnn.architectures import CLAIMS
from jaxcnn.benchmark.steps import NETWORKS

HEADS = {"googlenet", "inception_v3"}  # a claim counts the multiply-adds to the main logits alone


@pytest.mark.parity
@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_parameters_and_multiply_adds(name):
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    from jaxcnn.benchmark import torch_networks

    (h, w, c), claim = CLAIMS[name].input, CLAIMS[name]
    with torch.device("meta"), FlopCounterMode(display=False) as counted, torch.no_grad():
        network = torch_networks.NETWORKS[name]()
        network(torch.zeros(2, c, h, w))
    assert torch_networks.parameters(network) == claim.parameters
    found = counted.get_total_flops() / 4  # two images, two operations
    assert claim.macs < found < 1.1 * claim.macs if name in HEADS else found == claim.macs
