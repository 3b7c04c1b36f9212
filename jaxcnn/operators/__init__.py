"""The operators of convolutional networks: pure functions, and Linen modules where there are parameters."""

from jaxcnn.operators.activation import (
    ACTIVATIONS,
    INITIALIZERS,
    activation,
    elu,
    identity,
    initializer,
    leaky_relu,
    relu,
    scaled_tanh,
    sigmoid,
    tanh,
)
from jaxcnn.operators.convolution import HE_FAN_IN, HE_FAN_OUT, Conv, PartialConv, conv2d, partially_connected_conv2d
from jaxcnn.operators.loss import LOSSES, rbf_loss, smooth_labels, softmax_cross_entropy, squared_error
from jaxcnn.operators.normalization import BatchNorm, batch_statistics, normalize
from jaxcnn.operators.pooling import SubSampling, average_pool, global_average_pool, max_pool, sub_sampling
from jaxcnn.operators.regularization import Dropout, dropout

__all__ = [
    "ACTIVATIONS",
    "HE_FAN_IN",
    "HE_FAN_OUT",
    "INITIALIZERS",
    "LOSSES",
    "BatchNorm",
    "Conv",
    "Dropout",
    "PartialConv",
    "SubSampling",
    "activation",
    "average_pool",
    "batch_statistics",
    "conv2d",
    "dropout",
    "elu",
    "global_average_pool",
    "identity",
    "initializer",
    "leaky_relu",
    "max_pool",
    "normalize",
    "partially_connected_conv2d",
    "rbf_loss",
    "relu",
    "scaled_tanh",
    "sigmoid",
    "smooth_labels",
    "softmax_cross_entropy",
    "squared_error",
    "sub_sampling",
    "tanh",
]
