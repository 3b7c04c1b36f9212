"""Tables that name image files: where the files lie, and in which order records are."""

import os
from hashlib import blake2b


def folder_of_images(table: str, name: str) -> str:
    """The folder of the images of a table: `images` beside it, where a file of this name is there, else its own."""
    beside = os.path.dirname(table)
    inner = os.path.join(beside, "images")
    return inner if os.path.exists(os.path.join(inner, name)) else beside


def random_place(name: str) -> bytes:
    """A sort key that depends on the name of a file alone: sorted by it, a slice is a random part."""
    return blake2b(name.encode(), digest_size=8).digest()
