"""Augmentations: pure functions f(key, image, *, ...) that run on the device, under jit and vmap.

```python
turned = rotate(key, image, magnitude=15.0)                        # image float (h, w, c) in [0, 1]
keys = jax.random.split(key, len(images))
turned = jax.vmap(partial(rotate, magnitude=15.0))(keys, images)   # each image its own angle
```

A config names them, and functions of one's own: `config.augment.operations = (("rotate", 0.5, 15.0),)`, see
`make_augment`.
"""

from jaxcnn.augment.boxes import horizontal_flip_with_boxes, random_zoom_with_boxes
from jaxcnn.augment.color import brightness, color_cast, contrast, gamma, hue, invert, saturation
from jaxcnn.augment.crop import crop_and_pad, pad_crop, random_crop, random_resized_crop, random_scaled_crop
from jaxcnn.augment.elastic import elastic
from jaxcnn.augment.filters import emboss, gaussian_blur, sharpen
from jaxcnn.augment.geometry import horizontal_flip, vertical_flip
from jaxcnn.augment.lighting import lighting
from jaxcnn.augment.mixing import cutmix, mixup
from jaxcnn.augment.noise import additive_gaussian_noise, coarse_dropout, coarse_salt
from jaxcnn.augment.operations import OPERATIONS, Operation, make_operation
from jaxcnn.augment.policy import make_augment, make_mix
from jaxcnn.augment.recipes import RECIPES
from jaxcnn.augment.superpixels import superpixels
from jaxcnn.augment.warp import affine, perspective, rotate, scale, shear_x, shear_y, translate_x, translate_y
from jaxcnn.augment.weather import clouds, fast_snowy_landscape, fog, snowflakes

__all__ = [
    "OPERATIONS",
    "RECIPES",
    "Operation",
    "additive_gaussian_noise",
    "affine",
    "brightness",
    "clouds",
    "coarse_dropout",
    "coarse_salt",
    "color_cast",
    "contrast",
    "crop_and_pad",
    "cutmix",
    "elastic",
    "emboss",
    "fast_snowy_landscape",
    "fog",
    "gamma",
    "gaussian_blur",
    "horizontal_flip",
    "horizontal_flip_with_boxes",
    "hue",
    "invert",
    "lighting",
    "make_augment",
    "make_mix",
    "make_operation",
    "mixup",
    "pad_crop",
    "perspective",
    "random_crop",
    "random_resized_crop",
    "random_scaled_crop",
    "random_zoom_with_boxes",
    "rotate",
    "saturation",
    "scale",
    "sharpen",
    "shear_x",
    "shear_y",
    "snowflakes",
    "superpixels",
    "translate_x",
    "translate_y",
    "vertical_flip",
]
