"""Which formats of images are opened, and how: by content, with nothing but the readers of these formats."""

import io
import math
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxcnn.data.fit import DataError

# Pillow knows 40 more. Some start other programs (EPS), all are code that a file from a stranger would reach.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MAX_PIXELS = 2 * 89_478_485  # of what is decoded: where Pillow, too, refuses by default; 512 MiB of RGB
FOREIGN = (  # beginnings of files that people take for images of ours, or send as such
    (b"%!PS", "an EPS"),
    (b"\xc5\xd0\xd3\xc6", "an EPS"),
    (b"8BPS", "a Photoshop"),
    (b"SIMPLE  =", "a FITS"),
    (b"\xd7\xcd\xc6\x9a", "a WMF"),
    (b"%PDF", "a PDF"),
    (b"<svg", "an SVG"),
    (b"<?xml", "an XML or SVG"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\0\0\1\0", "an ICO"),
    (b"PK\x03\x04", "a ZIP"),
)
BRANDS = {b"heic": "a HEIC", b"heix": "a HEIC", b"mif1": "a HEIF", b"msf1": "a HEIF", b"avif": "an AVIF"}

warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours; once, for threads decode


def to_pillow(image: np.ndarray) -> Image.Image:
    """The Pillow image of pixels uint8 (h, w, c), of 1, 3 or 4 channels."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def open_image(data: bytes) -> Image.Image:
    """The Pillow image of the bytes of a file of one of FORMATS, whatever its name; its pixels are not read yet.

    Raises:
      DataError: it is of another format (named where it is a known one), not an image, or larger than MAX_PIXELS.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise DataError(_foreign(data)) from None
    except Image.DecompressionBombError as error:  # "Image size (240000000 pixels) exceeds ..."
        raise _too_large(int(re.findall(r"\d+", str(error))[0])) from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(image.width * image.height)
    return image


def check_jpeg(data: bytes, size: Sequence[Any], eighths: int) -> None:
    """Raises DataError where a JPEG is too large to be decoded at a scale.

    Args:
      data: the bytes of the file.
      size: its (height, width).
      eighths: the scale, 1 to 8 eighths, that libjpeg decodes it at.
    """
    whole = math.prod(size)
    if whole > MAX_PIXELS and (_needs_whole(data) or whole * (eighths / 8) ** 2 > MAX_PIXELS):
        raise _too_large(whole)


def _too_large(pixels):
    return DataError(
        f"the image has {pixels / 1e6:.0f} megapixels; up to {MAX_PIXELS / 1e6:.0f} are decoded (more of a JPEG that "
        "is not progressive, at the reduced scale that a smaller image_size allows): make it smaller"
    )


def _foreign(data):
    kind = next((name for start, name in FOREIGN if data.startswith(start)), None)
    kind = BRANDS.get(data[8:12]) if kind is None and data[4:8] == b"ftyp" else kind
    known = ", ".join(FORMATS)
    if kind:
        return f"it is {kind} file, not an image of the formats that are opened ({known}): convert it to JPEG or PNG"
    return f"not an image of the formats that are opened ({known}): it begins with {data[:12]!r}"


def _needs_whole(data):
    """Whether a JPEG is stored in several scans (progressive), so that all of it lies in memory while it is decoded."""
    place, components = 2, None
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker == 0xDA:  # start of scan: of all components, or of some
            return data[place + 4] != components
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a frame; the others are tables
            if marker not in (0xC0, 0xC1):
                return True
            components = data[place + 9]
        place += 2 + length
    return True


def eight_bits(image: Image.Image) -> Image.Image:
    """The Pillow image in mode L or RGB, on white where it is transparent.

    Raises:
      DataError: its pixels have no known range.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):  # scaled to 16 bits by Pillow
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
