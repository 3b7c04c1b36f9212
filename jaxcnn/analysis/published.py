"""Published single-network errors on the ILSVRC-2012 validation images, by protocol, in per cent."""

from typing import NamedTuple


class Published(NamedTuple):
    """One number of a paper.

    Attributes:
      architecture: a name in ARCHITECTURES.
      protocol: "one crop", "10 crops", "12 crops", "144 crops" or "dense" (VGG's single scale, over the whole image).
      top1, top5: error in per cent; None where the paper does not print it.
      source: paper and table.
      images: validation images; Szegedy et al. leave 1,762 of the 50,000 out.
    """

    architecture: str
    protocol: str
    top1: float | None
    top5: float | None
    source: str
    images: int = 50_000


ALEXNET = "Krizhevsky et al. 2012, table 2"
ZEILER = "Zeiler and Fergus 2013, table 2"
VGG = "Simonyan and Zisserman 2014, table 3"
GOOGLENET = "Szegedy et al. 2014, table 3"
INCEPTION_3 = "Szegedy et al. 2015, arXiv:1512.00567, section 10"
INCEPTION_4 = "Szegedy et al. 2016, arXiv:1602.07261, tables 2 and 3"
RESNET_10 = "He et al. 2015, arXiv:1512.03385, table 3"
RESNET_PLAIN = "He et al. 2015, arXiv:1512.03385, table 2 (ResNet with shortcut A)"
RESNET_1 = "He et al., github.com/KaimingHe/deep-residual-networks, one crop"
DENSENET = "Huang et al. 2016, arXiv:1608.06993, table 3"

PUBLISHED = (
    Published("alexnet", "10 crops", 40.7, 18.2, ALEXNET),
    Published("zfnet", "10 crops", 38.4, 16.5, ZEILER),
    Published("zfnet_wide", "10 crops", 37.5, 16.0, ZEILER),
    Published("vgg_a", "dense", 29.6, 10.4, VGG),
    Published("vgg_a_lrn", "dense", 29.7, 10.5, VGG),
    Published("vgg_b", "dense", 28.7, 9.9, VGG),
    Published("vgg_c", "dense", 27.3, 8.8, VGG),
    Published("vgg_d", "dense", 25.6, 8.1, VGG),
    Published("vgg_e", "dense", 25.5, 8.0, VGG),
    Published("googlenet", "one crop", None, 10.07, GOOGLENET),
    Published("googlenet", "10 crops", None, 9.15, GOOGLENET),
    Published("googlenet", "144 crops", None, 7.89, GOOGLENET),
    Published("inception_v3", "one crop", 21.2, 5.6, INCEPTION_3, 48_238),
    Published("inception_v3", "12 crops", 19.47, 4.48, INCEPTION_3),
    Published("inception_v3", "144 crops", 18.77, 4.2, INCEPTION_3),
    Published("inception_v4", "one crop", 20.0, 5.0, INCEPTION_4, 48_238),
    Published("inception_resnet_v1", "one crop", 21.3, 5.5, INCEPTION_4, 48_238),
    Published("inception_resnet_v2_paper", "one crop", 19.9, 4.9, INCEPTION_4, 48_238),
    Published("inception_v4", "12 crops", 18.7, 4.2, INCEPTION_4),
    Published("inception_resnet_v1", "12 crops", 19.8, 4.6, INCEPTION_4),
    Published("inception_resnet_v2_paper", "12 crops", 18.7, 4.1, INCEPTION_4),
    Published("plain18", "10 crops", 27.94, None, RESNET_PLAIN),
    Published("resnet18", "10 crops", 27.88, None, RESNET_PLAIN),
    Published("plain34", "10 crops", 28.54, None, RESNET_PLAIN),
    Published("resnet34", "10 crops", 24.52, 7.46, RESNET_10),
    Published("resnet50", "10 crops", 22.85, 6.71, RESNET_10),
    Published("resnet101", "10 crops", 21.75, 6.05, RESNET_10),
    Published("resnet152", "10 crops", 21.43, 5.71, RESNET_10),
    Published("resnet50", "one crop", 24.7, 7.8, RESNET_1),
    Published("resnet101", "one crop", 23.6, 7.1, RESNET_1),
    Published("resnet152", "one crop", 23.0, 6.7, RESNET_1),
    Published("densenet121", "one crop", 25.02, 7.71, DENSENET),
    Published("densenet169", "one crop", 23.80, 6.85, DENSENET),
    Published("densenet201", "one crop", 22.58, 6.34, DENSENET),
    Published("densenet264", "one crop", 22.15, 6.12, DENSENET),
    Published("densenet121", "10 crops", 23.61, 6.66, DENSENET),
    Published("densenet169", "10 crops", 22.08, 5.92, DENSENET),
    Published("densenet201", "10 crops", 21.46, 5.54, DENSENET),
    Published("densenet264", "10 crops", 20.80, 5.29, DENSENET),
)
