"""Every number that papers and lectures print about these networks, as data; `jaxcnn.analysis.audit` recomputes them.

One paper or family a file. What is not in a table that we could check is left out rather than guessed.
"""

from jaxcnn.analysis.ledger import (
    alexnet,
    autoencoder,
    densenet,
    dncnn,
    faces,
    gan,
    googlenet,
    inception,
    lectures,
    lenet,
    mnist,
    nin,
    rcnn,
    resnet,
    vgg,
    zfnet,
)
from jaxcnn.analysis.ledger.entry import ILSVRC, QUANTITIES, STATUSES, Entry

__all__ = ["ILSVRC", "LEDGER", "QUANTITIES", "STATUSES", "UNPRINTED", "Entry"]

_FILES = (
    lenet,
    alexnet,
    zfnet,
    vgg,
    mnist,
    nin,
    googlenet,
    inception,
    resnet,
    densenet,
    autoencoder,
    dncnn,
    gan,
    faces,
    rcnn,
    lectures,
)

LEDGER = tuple(entry for file in _FILES for entry in file.ENTRIES)

UNPRINTED = {  # architectures without a printed number; a name that ends in _small is one too
    "rnn_classifier": "its sizes are the user's",
    "seq2seq": "its sizes are the user's; the paper's counts were not looked up yet",
    "caption_lstm": "the paper's counts were not looked up yet",
    "caption_attention": "the paper's counts were not looked up yet",
    "crnn": "the paper's size was not looked up yet",
    "convnet": "a family of the lectures' notes, without numbers",
    "dcgan_28": "the paper's images have 64x64 pixels",
    "bagan_32": "the published code is for MNIST",
    "autoencoder_conv": "no paper's: its parts are of several",
    "lenet5_common": "not the network of the paper",
    "googlenet_naive": "the paper draws the module only; the lectures' example of it is under googlenet",
    "googlenet_bn": "a library's",
    "resnet50_v1_5": "a library's",
    "resnet101_v1_5": "a library's",
    "resnet152_v1_5": "a library's",
}
