"""Generative networks: DCGAN (Radford et al. 2016, arXiv:1511.06434), BAGAN (Mariani et al. 2018, arXiv:1803.09655)."""

from jaxcnn.analysis.ledger.entry import Entry, recipe

ENTRIES: list[Entry] = [
    recipe(
        "dcgan_32",
        "weights N(0, 0.02**2), leaky relu of slope 0.2; Adam at 0.0002 with a first moment of 0.5, batch 128; images "
        "of 64x64 in [-1, 1], codes of 100 uniform numbers",
        "Radford et al. 2016, section 4",
    ),
    recipe(
        "bagan_28",
        "autoencoder and game as many epochs each; Adam at 0.00005 with a first moment of 0.5, batch 32; one generated "
        "image for K real ones in the discriminator's batch, of all classes alike",
        "Mariani et al. 2018 and its code, IBM/BAGAN",
    ),
]
