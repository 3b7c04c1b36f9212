"""The stored form of an image file: its own bytes where any reader understands them, else a PNG or a smaller JPEG."""

import io

import numpy as np
import simplejpeg

from jaxcnn.data.decode import JPEG_START, decode_image
from jaxcnn.data.fit import Target, fit_array
from jaxcnn.data.formats import open_image, to_pillow

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_DEPTH = 24  # the byte of the header with the bits of a channel (PNG specification, 11.2.2 IHDR)
JPEG_QUALITY = 95


def stored_image(data: bytes, *, size: int | None = None) -> bytes:
    """Returns the bytes to store of an image file.

    A JPEG or PNG of 8 bits, grey or RGB, is stored as it is, byte by byte, EXIF orientation included. Any other (CMYK,
    palette, transparency, 16 bits, WebP, TIFF, GIF, BMP, ...) becomes a PNG of the pixels that `decode_image` gives, so
    that readers that know fewer kinds (TFDS decodes JPEG and PNG) see the same image.

    Args:
      data: the bytes of the file.
      size: an image whose short side is longer becomes a JPEG of this short side, in pixels: turned as EXIF says,
        scaled bilinearly with antialiasing, quality 95, 4:2:0. None leaves sizes as they are.
    Returns:
      bytes.
    Raises:
      DataError: the file cannot be decoded; it is decoded whole in any case.
    """
    image = decode_image(data)
    height, width = image.shape[:2]
    short = min(height, width)
    if size is not None and short > size:
        sides = round(height * size / short), round(width * size / short)
        return _encode_jpeg(fit_array(image, Target(sides, fit="stretch")))
    return data if _is_plain(data) else _encode_png(image)


def _is_plain(data):
    if not data.startswith((JPEG_START, PNG_START)):
        return False
    try:
        with open_image(data) as image:
            plain = image.mode in ("L", "RGB") and "transparency" not in image.info
    except Exception:  # readers that stumble where libjpeg-turbo did not
        return False
    return plain and (data.startswith(JPEG_START) or data[PNG_DEPTH] == 8)


def _encode_jpeg(image):
    space = "GRAY" if image.shape[-1] == 1 else "RGB"
    image = np.ascontiguousarray(image)
    return simplejpeg.encode_jpeg(image, quality=JPEG_QUALITY, colorspace=space, colorsubsampling="420")


def _encode_png(image):
    file = io.BytesIO()
    to_pillow(image).save(file, format="PNG")
    return file.getvalue()
