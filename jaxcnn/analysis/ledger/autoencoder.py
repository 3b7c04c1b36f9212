"""The deep autoencoder of Hinton and Salakhutdinov 2006 ("Reducing the dimensionality of data ...")."""

from jaxcnn.analysis.ledger.entry import Entry, shapes

ENTRIES: list[Entry] = [
    *shapes(
        "autoencoder_mlp",
        "Hinton and Salakhutdinov 2006, MNIST: 784-1000-500-250-30",
        {"encoder1": "1000", "encoder2": "500", "encoder3": "250", "code": "30", "image": "28x28"},
    ),
]
