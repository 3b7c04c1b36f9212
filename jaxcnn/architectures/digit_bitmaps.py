"""The 7x12 bitmaps of the ten digits, targets of LeNet-5's output units (LeCun et al. 1998, figure 3).

The paper prints them only as a picture. These are the pixels of the transcription that public reimplementations share
(github.com/xinpingwang/paper-with-code, lenet/utils/rbf_weight.py; AlgorithmicIntelligence/quantization_lenet,
RBF_BITMAP.py): the listings we found agree in all 840, so they have probably one origin. They were not checked
against the authors' code. 0, 2, 4 and 5 carry a bar on top there.
"""

import numpy as np

_PICTURES = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""


def _read(pictures):
    rows = [line.split() for line in pictures.split("\n") if line]  # 12 rows of 10 digits
    ink = np.array([[list(piece) for piece in row] for row in rows]) == "#"  # (12, 10, 7)
    return np.where(ink, 1.0, -1.0).astype(np.float32).transpose(1, 0, 2)


DIGIT_BITMAPS = _read(_PICTURES)  # (10, 12, 7), +1 ink and -1 paper
