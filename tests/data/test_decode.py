"""decode_image on the image files found in the wild."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from jaxcnn.data import DataError, decode_image, formats


def encoded(image, form, **options):
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(buffer, form, **options)
    return buffer.getvalue()


def picture(height=40, width=60):
    """A smooth picture without symmetry, so that a wrong rotation shows and JPEG keeps it."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], axis=-1).astype(np.uint8)


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).mean()


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "JPEG", "PPM"])
def test_every_format_gives_the_picture(form):
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form == "JPEG" else {}
    decoded = decode_image(encoded(picture(), form, **options))
    assert decoded.dtype == np.uint8
    assert decoded.shape == (40, 60, 3)
    assert difference(decoded, picture()) < (8 if form == "GIF" else 1.5 if form == "JPEG" else 1e-9)


@pytest.mark.parametrize("image_size", [None, (16, 24), (20, 20)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, image_size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), "JPEG", quality=95, exif=exif)
    turned = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    expected = decode_image(encoded(turned, "PNG"), image_size=image_size)
    assert difference(decode_image(data, image_size=image_size), expected) < 1.5


def test_a_turned_jpeg_is_decoded_at_the_scale_of_its_turned_sides():
    exif = Image.Exif()
    exif[0x0112] = 6
    stripes = np.tile(np.array([[0], [0], [255], [255]], np.uint8), (25, 400))  # upright they run along the 400 rows
    decoded = decode_image(encoded(stripes, "JPEG", quality=95, exif=exif), image_size=(25, 100), fit="stretch")
    np.testing.assert_allclose(decoded[5, :, 0], stripes[::-1, 0], atol=40)


def test_exif_orientation_of_a_png_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode_image(encoded(picture(), "PNG", exif=exif))
    np.testing.assert_array_equal(decoded, np.rot90(picture(), -1))


def test_grey_files_give_one_channel_or_three_equal_ones():
    grey = picture()[:, :, 0]
    for form in ("PNG", "JPEG"):
        data = encoded(grey, form, **({"quality": 95} if form == "JPEG" else {}))
        assert decode_image(data).shape == (40, 60, 1)
        colour = decode_image(data, channels=3)
        assert colour.shape == (40, 60, 3)
        np.testing.assert_array_equal(colour[..., 0], colour[..., 2])
        assert difference(colour[..., 0], grey) < 1


def test_colour_becomes_luminance():
    red = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    np.testing.assert_array_equal(decode_image(encoded(red, "PNG"), channels=1), np.full((2, 2, 1), 76))  # 0.299 * 255


def test_cmyk_jpeg_becomes_rgb():
    image = Image.fromarray(picture())
    decoded = decode_image(encoded(image.convert("CMYK"), "JPEG", quality=95), image_size=(20, 30), channels=3)
    assert difference(decoded, decode_image(encoded(image, "PNG"), image_size=(20, 30))) < 4


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_divided_by_257(form):
    values = np.array([[0, 257, 400], [128 * 257, 65534, 65535]], np.uint16)
    decoded = decode_image(encoded(values, form))
    np.testing.assert_array_equal(decoded[..., 0], [[0, 1, 2], [128, 255, 255]])


@pytest.mark.parametrize("highest", [65535, 1023])
def test_sixteen_bits_of_a_pgm(highest):
    values = np.array([[0, highest // 2, highest]], ">u2")
    decoded = decode_image(b"P5 3 1 %d\n" % highest + values.tobytes())
    np.testing.assert_array_equal(decoded[..., 0], [[0, 127, 255]])


def test_float_pixels_are_refused():
    with pytest.raises(DataError, match="no known range"):
        decode_image(encoded(np.zeros((2, 2), np.float32), "TIFF"))


def test_transparency_is_composited_on_white():
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    expected = [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]
    np.testing.assert_array_equal(decode_image(encoded(rgba, "PNG")), expected)

    palette = Image.new("P", (2, 1))
    palette.putpalette([1, 2, 3, 200, 100, 50])
    palette.putdata([0, 1])
    np.testing.assert_array_equal(decode_image(encoded(palette, "PNG")), [[[1, 2, 3], [200, 100, 50]]])
    for transparency in (0, b"\x00\xff"):
        data = encoded(palette, "PNG", transparency=transparency)
        np.testing.assert_array_equal(decode_image(data), [[[255, 255, 255], [200, 100, 50]]])


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode_image(data, channels=3)[0, 0], (255, 0, 0))


def test_one_pixel():
    pixel = np.full((1, 1, 3), 77, np.uint8)
    for fit in ("crop", "stretch"):
        for form in ("PNG", "JPEG"):
            np.testing.assert_allclose(decode_image(encoded(pixel, form), image_size=(8, 6), fit=fit), 77, atol=1)
    assert decode_image(encoded(pixel, "PNG"), image_size=(3, 3), fit="pad").sum() == 3 * 77


def test_crop_keeps_the_aspect_and_the_centre():
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, 15:25] = 200  # exactly the centre square
    np.testing.assert_array_equal(decode_image(encoded(wide, "PNG"), image_size=(10, 10)), np.full((10, 10, 3), 200))
    stretched = decode_image(encoded(wide, "PNG"), image_size=(10, 10), fit="stretch")
    assert stretched[5, 0, 0] == 0
    assert 150 < stretched[5, 5, 0] < 200


def test_crop_equals_scaling_then_cropping():
    scaled = Image.fromarray(picture(64, 96)).resize((48, 32), Image.Resampling.BILINEAR)
    expected = np.asarray(scaled)[:, 8:40]
    assert difference(decode_image(encoded(picture(64, 96), "PNG"), image_size=(32, 32)), expected) < 0.01


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resize_then_the_centre_window(interpolation):
    """As torchvision and timm evaluate: 256 then 224 is here 48 then 42, of a picture where both offsets are whole."""
    image = np.random.default_rng(0).integers(0, 256, (96, 120, 3), np.uint8)
    data = encoded(image, "PNG")
    scaled = Image.fromarray(image).resize((60, 48), getattr(Image.Resampling, interpolation.upper()))
    expected = np.asarray(scaled)[3:45, 9:51]
    found = decode_image(data, image_size=(42, 42), resize=48, interpolation=interpolation)
    assert np.abs(found.astype(int) - expected).max() <= 1  # a rounding of the pass between rows and columns
    assert difference(decode_image(data, image_size=(42, 42), interpolation=interpolation), expected) > 10


@pytest.mark.parametrize("size", [(40, 60), (600, 400)])  # the second is decoded at a reduced scale
def test_resize_keeps_the_place_of_an_oblique_jpeg(size):
    """In a picture of x and y a pixel's value is its place: a window off by half a pixel shows."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(*size), "JPEG", quality=98, subsampling=0, exif=exif)
    height, width = size[::-1]  # as seen
    scale = 32 / min(size)
    places = [(side - 28 / scale) / 2 + (np.arange(28) + 0.5) / scale for side in (height, width)]
    red, green, _ = np.moveaxis(decode_image(data, image_size=(28, 28), resize=32).astype(float), -1, 0)
    assert np.abs(red - 255 * (places[0][:, None] - 0.5) / height).mean() < 1
    assert np.abs(green - 255 * (width - 0.5 - places[1]) / width).mean() < 1


def test_resize_equal_to_the_image_cuts_without_resampling():
    np.testing.assert_array_equal(
        decode_image(encoded(picture(), "PNG"), image_size=(32, 32), resize=40), picture()[4:36, 14:46]
    )


def test_scaling_down_is_antialiased():
    stripes = np.tile(np.array([0, 255], np.uint8), (32, 16))  # one pixel wide: 127.5 on average
    np.testing.assert_allclose(decode_image(encoded(stripes, "PNG"), image_size=(8, 8))[:, 1:-1], 127.5, atol=8)


def test_pad_centres_on_zeros_and_never_scales():
    image = np.full((28, 27, 1), 9, np.uint8)
    padded = decode_image(encoded(image[..., 0], "PNG"), image_size=(32, 32), fit="pad")
    np.testing.assert_array_equal(padded, np.pad(image, ((2, 2), (2, 3), (0, 0))))
    with pytest.raises(DataError, match="larger than image_size"):
        decode_image(encoded(image[..., 0], "PNG"), image_size=(26, 32), fit="pad")


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(1, 40), st.sampled_from(["crop", "stretch"])
)
def test_any_size_to_any_size(height, width, target_height, target_width, fit):
    data = encoded(np.full((height, width, 3), 100, np.uint8), "JPEG", quality=95)
    decoded = decode_image(data, image_size=(target_height, target_width), fit=fit)
    np.testing.assert_allclose(decoded, np.full((target_height, target_width, 3), 100), atol=2)


def test_reduced_scale_decoding_stays_close_to_full_decoding(shared):
    paths = sorted((shared / "imagenette" / "val").rglob("*.JPEG"))[::40]
    for path in paths:
        data = path.read_bytes()
        full = decode_image(encoded(Image.open(path).convert("RGB"), "PNG"), image_size=(64, 64))
        assert difference(decode_image(data, image_size=(64, 64), channels=3), full) < 3


@pytest.mark.parametrize("image_size", [None, (8, 8)])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_truncated_file_is_an_error(form, kept, image_size):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(noise, form)
    with pytest.raises(DataError, match="truncated"):
        decode_image(data[: int(kept * len(data))], image_size=image_size)


def test_a_damaged_jpeg_with_its_end_in_place_is_an_error():
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "JPEG")
    with pytest.raises(DataError, match="truncated"):
        decode_image(data[:1500] + data[3000:])
    ones = b"\xff\x00" * 100  # no Huffman code is all ones
    with pytest.raises(DataError, match="corrupt"):
        decode_image(data[:1500] + ones + data[1700:])


def test_stray_bytes_after_the_scan_are_harmless():
    data = encoded(picture(), "JPEG", quality=95)
    assert data.endswith(b"\xff\xd9")
    decoded = decode_image(data[:-2] + b"\x00" * 20 + data[-2:])
    np.testing.assert_array_equal(decoded, decode_image(data))


@pytest.mark.parametrize(
    "data, reason", [(b"", "empty"), (b"not an image", "not an image"), (b"\xff\xd8", "not an image|truncated")]
)
def test_what_is_not_an_image_is_an_error(data, reason):
    with pytest.raises(DataError, match=reason):
        decode_image(data)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_an_image_of_too_many_pixels_is_an_error(form, monkeypatch):
    monkeypatch.setattr(formats, "MAX_PIXELS", 20_000_000)
    data = encoded(np.zeros((5000, 4100), np.uint8), form)
    with pytest.raises(DataError, match="has 20 megapixels; up to 20 are decoded"):
        decode_image(data)


def test_a_bomb_is_named_before_its_pixels_are_read():
    bomb = bytearray(encoded(np.zeros((8, 8), np.uint8), "PNG"))
    bomb[16:24] = struct.pack(">II", 50_000, 50_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    with pytest.raises(DataError, match="has 2500 megapixels; up to 179"):
        decode_image(bytes(bomb), image_size=(8, 8))


def test_a_large_jpeg_is_decoded_at_a_reduced_scale(monkeypatch):
    image = picture(400, 600)
    expected = decode_image(encoded(image, "JPEG"), image_size=(20, 30))
    monkeypatch.setattr(formats, "MAX_PIXELS", 20_000)
    np.testing.assert_array_equal(decode_image(encoded(image, "JPEG"), image_size=(20, 30)), expected)
    for options in ({"image_size": (200, 300)}, {}):
        with pytest.raises(DataError, match="megapixels"):
            decode_image(encoded(image, "JPEG"), **options)
    # All of a progressive one lies in memory, however small it becomes.
    with pytest.raises(DataError, match="megapixels"):
        decode_image(encoded(image, "JPEG", progressive=True), image_size=(20, 30))


FOREIGN = {"EPS": "an EPS", "PDF": "a PDF", "JPEG2000": "a JPEG 2000", "ICO": "an ICO"}


@pytest.mark.parametrize("form", [*FOREIGN, "PCX", "TGA", "SGI"])
def test_other_formats_are_refused_without_their_readers(form, monkeypatch, tmp_path):
    programs = tmp_path / "gs"
    programs.write_text("#!/bin/sh\ntouch " + str(tmp_path / "started"))
    programs.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    data = encoded(np.tile(picture(), (4, 4, 1)), form)
    with pytest.raises(DataError, match=f"{FOREIGN.get(form, 'not an image')}.*formats that are opened"):
        decode_image(data, image_size=(8, 8))
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    "start, kind",
    [
        (b"\0\0\0\x18ftypheic", "a HEIC"),
        (b"\0\0\0\x1cftypavif", "an AVIF"),
        (b"8BPS\0\1", "a Photoshop"),
        (b"SIMPLE  =                    T", "a FITS"),
        (b"\xd7\xcd\xc6\x9a", "a WMF"),
    ],
)
def test_a_format_that_is_not_opened_is_named(start, kind):
    with pytest.raises(DataError, match=f"it is {kind} file.*convert it to JPEG or PNG"):
        decode_image(start + bytes(100))


@pytest.mark.parametrize(
    "options",
    [
        {"image_size": 32},
        {"image_size": (0, 3)},
        {"image_size": (3.5, 3)},
        {"channels": 4},
        {"fit": "squash"},
        {"interpolation": "nearest"},
        {"resize": -1},
        {"resize": 2.5},
        {"resize": 8},
        {"resize": 8, "image_size": (8, 9)},
        {"resize": 8, "image_size": (8, 8), "fit": "stretch"},
    ],
)
def test_a_wrong_option_is_named(options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=name):
        decode_image(encoded(picture(), "PNG"), **options)
