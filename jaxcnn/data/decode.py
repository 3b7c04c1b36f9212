"""From an encoded image to a uint8 array of the size asked for."""

import io

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from jaxcnn.errors import InputError

FITS = ("crop", "stretch", "pad")
JPEG_START = b"\xff\xd8"
ORIENTATION = 0x0112  # the EXIF tag

# A JPEG is decoded at a reduced DCT scale that is still this much larger than the target. From 224 to 64 pixels, 1.0
# differs from a full decode by 1.1 grey levels (mean) in 0.53 of its time, 1.5 by 0.85 in 0.60, 2.0 by 0.48 in 0.83.
DCT_MARGIN = 1.5

TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class DataError(InputError):
    """A record that cannot be read or decoded; the message says which, why, and what to do."""


def decode_image(data, *, image_size=None, channels=None, fit="crop"):
    """Decodes an encoded image, of any format that Pillow reads, as a person sees it.

    EXIF orientation is applied; CMYK, palette and 16-bit images become RGB or grey (16-bit grey as value / 257, 16-bit
    colour by its high byte, as Pillow reads it); transparency is composited on white; an animation gives its first
    frame. JPEG goes through libjpeg-turbo at a reduced scale where image_size allows, and through Pillow where that
    refuses.

    Args:
      data: the bytes of the file.
      image_size: (height, width), or None for the size of the image.
      channels: 1, 3, or None for 1 where the file is grey and 3 elsewhere.
      fit: "crop" scales the short side to the size and crops the centre, "stretch" resizes both sides, "pad" centres
        the unscaled image on zeros. Scaling is bilinear with antialiasing.
    Returns:
      uint8 (height, width, channels).
    Raises:
      DataError: the data is empty, not an image, truncated, corrupt, a decompression bomb, of a pixel format without a
        known range, or larger than image_size with fit "pad".
      ValueError: an option is not one of those above.
    """
    image_size = check_image_options(image_size, channels, fit)
    data = bytes(data)
    if not data:
        raise DataError("the file is empty (0 bytes)")
    image = _decode_jpeg(data, image_size, channels, fit) if data.startswith(JPEG_START) else None
    if image is None:
        image = _decode_with_pillow(data)
    return _fit(image, image_size, channels, fit)


def fit_array(image, *, image_size=None, channels=None, fit="crop"):
    """Brings a decoded image to a size and number of channels, by the rules of `decode_image`.

    Args:
      image: uint8 (h, w, 1) or (h, w, 3).
      image_size, channels, fit: as in `decode_image`.
    Returns:
      uint8 (height, width, channels).
    Raises:
      DataError: the image is not such an array, or is larger than image_size with fit "pad".
    """
    image_size = check_image_options(image_size, channels, fit)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise DataError(f"the image is {image.dtype} {image.shape}, not uint8 (h, w, 1) or (h, w, 3)")
    if image_size in (None, image.shape[:2]) and channels in (None, image.shape[-1]):
        return image
    return _fit(_from_array(image), image_size, channels, fit)


def check_image_options(image_size, channels, fit):
    """Returns image_size as a tuple (or None); raises ValueError where one of the three options is not allowed."""
    if image_size is not None:
        sides = tuple(image_size) if np.iterable(image_size) else ()
        if len(sides) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in sides):
            raise ValueError(f"image_size is {image_size!r}; it must be (height, width), positive integers, or None")
        image_size = (int(sides[0]), int(sides[1]))
    if channels not in (None, 1, 3):
        raise ValueError(f"channels is {channels!r}; it must be 1, 3 or None")
    if fit not in FITS:
        raise ValueError(f"fit is {fit!r}; it must be one of {', '.join(map(repr, FITS))}")
    return image_size


def _decode_jpeg(data, image_size, channels, fit):
    """Returns a Pillow image, or None where only Pillow can tell (CMYK, an unusual colour space, not a JPEG at all)."""
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space in ("CMYK", "YCCK") or height * width > 2 * (Image.MAX_IMAGE_PIXELS or np.inf):
            return None
        orientation = _orientation(data)
        min_height, min_width = _least_size(height, width, image_size, fit, turned=orientation >= 5)
        grey = channels == 1 or (channels is None and space == "Gray")
        image = simplejpeg.decode_jpeg(data, "GRAY" if grey else "RGB", min_height=min_height, min_width=min_width)
    except ValueError as error:
        # libjpeg calls any oddity an error here. Stray bytes between segments do no harm, and Pillow passes over them;
        # after the others it would pass on an image whose lower part is grey.
        reason = str(error)
        if "remature end" in reason:
            raise DataError(f"the JPEG is truncated ({reason})") from None
        if "Corrupt JPEG data" in reason and "extraneous" not in reason:
            raise DataError(f"the JPEG is corrupt ({reason})") from None
        return None
    image = _from_array(image)
    return image.transpose(TRANSPOSITIONS[orientation]) if orientation in TRANSPOSITIONS else image


def _orientation(data):
    # Pillow is asked only where there can be a tag: parsing the headers takes it as long as decoding a thumbnail.
    if b"Exif\0\0" not in data and b"tiff:Orientation" not in data:
        return 1
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.getexif().get(ORIENTATION, 1)
    except Exception:  # a damaged tag is no reason to lose the pixels
        return 1


def _least_size(height, width, image_size, fit, *, turned):
    """Returns the (min_height, min_width) to decode at, in the frame of the stored image; (0, 0) is full size."""
    if image_size is None or fit == "pad":
        return 0, 0
    target_height, target_width = image_size[::-1] if turned else image_size
    scales = target_height / height, target_width / width
    if fit == "crop":
        scales = max(scales), max(scales)
    least = [int(np.ceil(DCT_MARGIN * scale * side)) for scale, side in zip(scales, (height, width), strict=True)]
    return (0, 0) if least[0] > height or least[1] > width else tuple(least)


def _decode_with_pillow(data):
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            return _eight_bits(image)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"not an image that Pillow knows: it begins with {data[:12]!r}") from None
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, struct.error, EOFError, zlib.error, ...
        reason = "truncated" if "truncated" in str(error).lower() else "not decodable"
        raise DataError(f"the image is {reason} ({type(error).__name__}: {error})") from error


def _eight_bits(image):
    """Returns the image in mode L or RGB."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise DataError(f"its 32-bit pixels (Pillow mode {image.mode}) have no known range: convert it to 8 or 16 bits")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _fit(image, image_size, channels, fit):
    """Returns uint8 (height, width, channels) of a Pillow image in mode L or RGB."""
    if channels is not None and image.mode != (mode := "L" if channels == 1 else "RGB"):
        image = image.convert(mode)
    width, height = image.size
    if image_size is None or image_size == (height, width):
        return _to_array(image)
    target_height, target_width = image_size
    if fit == "pad":
        return _pad(_to_array(image), image_size)
    box = (0, 0, width, height)
    if fit == "crop":
        # Scaled and cropped in one pass: the box is the part of the image that the centre crop keeps.
        scale = max(target_height / height, target_width / width)
        left = max(0.0, (width - target_width / scale) / 2)
        top = max(0.0, (height - target_height / scale) / 2)
        box = (left, top, width - left, height - top)
    return _to_array(image.resize((target_width, target_height), Image.Resampling.BILINEAR, box=box))


def _pad(image, image_size):
    height, width, channels = image.shape
    target_height, target_width = image_size
    if height > target_height or width > target_width:
        raise DataError(
            f"the image is {height}x{width}, larger than image_size {image_size}, and fit='pad' does not scale: use "
            "fit='crop' or fit='stretch'"
        )
    padded = np.zeros((target_height, target_width, channels), np.uint8)
    top, left = (target_height - height) // 2, (target_width - width) // 2
    padded[top : top + height, left : left + width] = image
    return padded


def _from_array(image):
    return Image.fromarray(image[:, :, 0] if image.shape[-1] == 1 else image)


def _to_array(image):
    array = np.asarray(image)
    return array[:, :, None] if array.ndim == 2 else array
