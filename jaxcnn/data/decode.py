"""From an encoded image to a uint8 array of the size asked for."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import simplejpeg
from PIL import ImageOps

from jaxcnn.data.fit import DataError, Decoded, Target, to_array
from jaxcnn.data.formats import check_jpeg, eight_bits, open_image

JPEG_START = b"\xff\xd8"
ORIENTATION = 0x0112  # the EXIF tag

# A JPEG is decoded at a reduced DCT scale that is still this much larger than the target. From 224 to 64 pixels, 1.0
# differs from a full decode by 1.1 grey levels (mean) in 0.53 of its time, 1.5 by 0.85 in 0.60, 2.0 by 0.48 in 0.83.
DCT_MARGIN = 1.5

UPRIGHT = {  # EXIF orientation: (h, w, c) as stored to (h, w, c) as seen
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x[::-1].swapaxes(0, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x[:, ::-1].swapaxes(0, 1),
}


def decode_image(
    data: bytes,
    *,
    image_size: Sequence[int] | None = None,
    channels: int | None = None,
    fit: str = "crop",
    resize: int = 0,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """Decodes an encoded image, of one of jaxcnn.data.formats.FORMATS, as a person sees it.

    EXIF orientation is applied; CMYK, palette and 16-bit images become RGB or grey (16-bit grey as value / 257, 16-bit
    colour by its high byte, as Pillow reads it); transparency is composited on white; an animation gives its first
    frame. JPEG goes through libjpeg-turbo at a reduced scale where image_size allows, and through Pillow where that
    refuses.

    An image of over MAX_PIXELS is decoded where it is a JPEG that can be decoded at a reduced scale.

    Args:
      data: the bytes of the file.
      image_size: (height, width), or None for the size of the image.
      channels: 1, 3, or None for 1 where the file is grey and 3 elsewhere.
      fit: "crop" scales the short side to the size and crops the centre, "stretch" resizes both sides, "pad" centres
        the unscaled image on zeros, "inside" scales the whole image into the size, with zeros to the right and below.
        Scaling is antialiased.
      resize: with fit "crop", the short side that the image is scaled to before the centre is cut out, at least
        image_size; 0 scales it until image_size is just covered. With "inside" the largest short side, or 0.
      interpolation: "bilinear" or "bicubic".
    Returns:
      uint8 (height, width, channels).
    Raises:
      DataError: the data is empty, not an image, of another format, truncated, corrupt, too large, of a pixel format
        without a known range, or larger than image_size with fit "pad".
      ValueError: an option is not one of those above.
    """
    return decode(data, Target(image_size, channels, fit, resize, interpolation))


def decode(data: bytes, target: Target, cut: Callable[..., Any] | None = None) -> np.ndarray:
    """Decodes as `decode_image` does, to a Target; cut as in `decoded`."""
    return target.of(decoded(data, target, cut), exact=cut is None)


def decoded(data: bytes, target: Target, cut: Callable[..., Any] | None = None) -> Decoded:
    """The Decoded of an encoded image, for `Target.of`.

    Args:
      data: the bytes of the file.
      target: a Target.
      cut: None, or f(size, image_size) that gives the box (top, left, height, width) of the upright image of size
        (h, w) to show, instead of the one that the target's fit takes.
    Raises:
      DataError: as `decode_image`.
    """
    data = bytes(data)
    if not data:
        raise DataError("the file is empty (0 bytes)")
    image = _decode_jpeg(data, target, cut) if data.startswith(JPEG_START) else None
    if image is not None:
        return image
    pixels = _decode_with_pillow(data)
    return Decoded(pixels, pixels.shape[:2], target.box(pixels.shape[:2], cut))


def _decode_jpeg(data, target, cut):
    """Returns a Decoded, or None where only Pillow can tell (CMYK, an unusual colour space, not a JPEG at all)."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space in ("CMYK", "YCCK"):
            return None
        orientation = _orientation(data)
        turned = orientation in (5, 6, 7, 8)
        size = (width, height) if turned else (height, width)
        box = target.box(size, cut)
        least = _least_size(size, box, target.image_size)
        check_jpeg(data, size, _eighths(size, least))
        min_height, min_width = least[::-1] if turned else least
        grey = target.channels == 1 or (target.channels is None and space == "Gray")
        pixels = simplejpeg.decode_jpeg(data, "GRAY" if grey else "RGB", min_height=min_height, min_width=min_width)
    except DataError:
        raise
    except ValueError as error:
        # libjpeg calls any oddity an error here. Stray bytes between segments do no harm, and Pillow passes over them;
        # after the others it would pass on an image whose lower part is grey.
        reason = str(error)
        if "remature end" in reason:
            raise DataError(f"the JPEG is truncated ({reason})") from None
        if "Corrupt JPEG data" in reason and "extraneous" not in reason:
            raise DataError(f"the JPEG is corrupt ({reason})") from None
        return None
    if orientation in UPRIGHT:
        pixels = np.ascontiguousarray(UPRIGHT[orientation](pixels))  # OpenCV takes no negative strides
    return Decoded(pixels, size, box)


def _orientation(data):
    # Pillow is asked only where there can be a tag: parsing the headers takes it as long as decoding a thumbnail.
    if b"Exif\0\0" not in data and b"tiff:Orientation" not in data:
        return 1
    try:
        with open_image(data) as image:
            return _tag(image)
    except DataError:
        return 1


def _tag(image):
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged tag is no reason to lose the pixels
        return 1


def _least_size(size, box, image_size):
    """Returns the (height, width) that an upright image of a size must at least be decoded at; (0, 0) is full size."""
    if box is None:
        return 0, 0
    scales = [wanted / extent for wanted, extent in zip(image_size, box[2:], strict=True)]
    least = [int(np.ceil(DCT_MARGIN * scale * side)) for scale, side in zip(scales, size, strict=True)]
    return (0, 0) if least[0] > size[0] or least[1] > size[1] else tuple(least)


def _eighths(size, least):
    """The scale, 1 to 8 eighths, at which libjpeg decodes an image of a size so that no side is below the least."""
    return max(math.ceil(8 * wanted / side) for wanted, side in zip(least, size, strict=True)) or 8


def _decode_with_pillow(data):
    try:
        with open_image(data) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return to_array(eight_bits(image))
    except DataError:
        raise
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, struct.error, EOFError, zlib.error, ...
        reason = "truncated" if "truncated" in str(error).lower() else "not decodable"
        raise DataError(f"the image is {reason} ({type(error).__name__}: {error})") from error
