"""The map of t-SNE as one HTML page: a point under the pointer shows its image, class and prediction."""

import io
import json
import operator
from collections.abc import Sequence

import jax
import numpy as np
from PIL import Image

from jaxcnn.data.formats import to_pillow
from jaxcnn.visualize.examples import class_name
from jaxcnn.visualize.figure import PALETTE
from jaxcnn.visualize.page import Html, element, join, page, percent
from jaxcnn.visualize.page import image as png_image
from jaxcnn.visualize.tsne import Sample, look, marks

SIDE = 900  # of the drawing, in its own units
THUMBNAIL = 64  # pixels
COLUMNS = 32  # of the sheet of thumbnails

SHAPES = {  # a marker of matplotlib as a path around (0, 0)
    "o": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0",
    "s": "M-4.5-4.5h9v9h-9z",
    "^": "M0-5.5L5.5 4.5h-11z",
    "D": "M0-6L6 0L0 6L-6 0z",
}
BUTTONS = "A class is hidden and shown by its button."
STYLE = """
.map { position: relative; }
.map svg { width: 100%; height: auto; background: var(--plate); border-radius: 8px; touch-action: none;
  display: block; }
.map path { stroke: var(--plate); stroke-width: .7; }
.map path.wrong { stroke: var(--ink); stroke-width: 2; }
.map path.off { display: none; }
.map path.near { stroke: var(--ink); stroke-width: 3; }
.keys { display: flex; flex-wrap: wrap; gap: 4px 8px; margin: 0 0 10px; }
.keys button { font: inherit; font-size: .85rem; color: var(--ink); background: none; border: 1px solid var(--rule);
  border-radius: 14px; padding: 2px 10px; cursor: pointer; display: flex; gap: 6px; align-items: center; }
.keys button[data-label][aria-pressed=false] { opacity: .4; }
.keys button:not([data-label])[aria-pressed=true] { background: var(--track); }
.keys svg { width: 13px; height: 13px; overflow: visible; }
.tip { position: absolute; display: none; pointer-events: none; background: var(--paper); padding: 8px 10px;
  border: 1px solid var(--rule); border-radius: 8px; box-shadow: 0 2px 10px #0003; font-size: .85rem; z-index: 1;
  max-width: 260px; }
.tip .picture { background-repeat: no-repeat; image-rendering: pixelated; border-radius: 4px; margin-bottom: 6px; }
.tip .miss { color: var(--wrong); } .tip .hit { color: var(--right); }
.sheet { display: none; }
"""

SCRIPT = """
const map = document.querySelector(".map"), drawing = map.querySelector("svg"), tip = map.querySelector(".tip");
const points = JSON.parse(document.getElementById("points").textContent), sheet = map.querySelector(".sheet");
const marks = [...drawing.querySelectorAll("path")], hidden = new Set();
const side = points.side, zoom = Math.max(2, Math.round(128 / side));
let near = -1, onlyWrong = false;
const wrong = i => points.predicted !== null && points.label[i] !== points.predicted[i];
const shown = i => !hidden.has(points.label[i]) && !(onlyWrong && !wrong(i));
function leave() { if (near >= 0) marks[near].classList.remove("near"); near = -1; tip.style.display = "none"; }
function refresh() { leave(); marks.forEach((mark, i) => mark.classList.toggle("off", !shown(i))); }
document.querySelectorAll(".keys button").forEach(button => button.addEventListener("click", () => {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", pressed);
  if (button.dataset.label === undefined) onlyWrong = pressed;
  else hidden[pressed ? "delete" : "add"](Number(button.dataset.label));
  refresh();
}));
const rule = document.createElement("style"); // once: the sheet's address is the sheet itself
rule.textContent = `.tip .picture { width: ${side * zoom}px; height: ${side * zoom}px;
  background-image: url(${sheet.src}); background-size: ${points.columns * side * zoom}px auto; }`;
document.head.append(rule);
function part(name, text) {
  const line = document.createElement("div");
  line.className = name; line.textContent = text; tip.append(line);
  return line;
}
function show(i, event) {
  if (i !== near) {
    leave(); near = i; marks[i].classList.add("near"); tip.replaceChildren();
    const picture = part("picture", ""), [x, y] = [i % points.columns, Math.floor(i / points.columns)];
    picture.style.backgroundPosition = `-${x * side * zoom}px -${y * side * zoom}px`;
    if (points.classes.length) part("true", points.classes[points.label[i]]);
    if (points.predicted !== null)
      part(wrong(i) ? "miss" : "hit", `predicted ${points.classes[points.predicted[i]]}, ${points.confidence[i]}`);
    part("quiet", `${points.split} ${points.position[i]}`);
  }
  tip.style.display = "block";
  const box = map.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
  tip.style.left = `${x > box.width / 2 ? x - tip.offsetWidth - 16 : x + 16}px`;
  tip.style.top = `${Math.max(0, Math.min(y - 40, box.height - tip.offsetHeight))}px`;
}
drawing.addEventListener("pointermove", event => {
  const box = drawing.getBoundingClientRect(), unit = points.width / box.width;
  const x = (event.clientX - box.left) * unit, y = (event.clientY - box.top) * unit;
  let best = -1, least = 20 * 20;
  points.place.forEach(([a, b], i) => {
    const distance = (a - x) ** 2 + (b - y) ** 2;
    if (distance < least && shown(i)) { least = distance; best = i; }
  });
  if (best < 0) leave(); else show(best, event);
});
drawing.addEventListener("pointerleave", leave);
"""


def tsne_page(
    places: np.ndarray, sample: Sample, classes: Sequence[str], *, title: str, subtitle: str, split: str
) -> str:
    """The HTML page of a map.

    Args:
      places: (n, 2) in [0, 1], y upwards.
      sample: a `Sample`.
      classes: names of the classes; may be empty.
      title, subtitle: text.
      split: the name of the split, for the positions.
    Returns:
      The page as text; it fetches nothing.
    """
    order = np.argsort(sample.wrong, kind="stable")  # a ring lies above its neighbours
    sample, places = jax.tree.map(operator.itemgetter(order), (sample, places))
    width = SIDE + 40
    at = np.stack([20 + SIDE * places[:, 0], 20 + SIDE * (places[:, 1].max() - places[:, 1])], axis=1).round(1)
    height = float(at[:, 1].max()) + 20
    side = min(THUMBNAIL, max(sample.images.shape[1:3]))
    guessed = sample.probabilities is not None
    points = {
        "width": width,
        "place": at.tolist(),
        "label": sample.labels.tolist(),
        "predicted": sample.predicted.tolist() if guessed else None,
        "confidence": [percent(row.max(), 1) for row in sample.probabilities] if guessed else None,
        "position": sample.positions.tolist(),
        "classes": [class_name(classes, i) for i in range(sample.probabilities.shape[1])] if guessed else [*classes],
        "split": split,
        "columns": COLUMNS,
        "side": side,
    }
    looks = _looks(sample.labels)
    rows = zip(at.tolist(), points["label"], sample.wrong, strict=True)
    shown = (_mark(place, *looks[label], wrong) for place, label, wrong in rows)
    drawing = element("svg", *shown, viewBox=f"0 0 {width} {height:.1f}", role="img", **{"aria-label": title})
    drawn = element(
        "div",
        drawing,
        png_image(thumbnail_sheet(sample.images, side), "", class_="sheet"),
        element("div", class_="tip"),
        class_="map",
    )
    data = Html(json.dumps(points, ensure_ascii=False).replace("<", "\\u003c"))
    content = join(
        element("style", Html(STYLE)),
        _keys(sample, classes, looks),
        drawn,
        element("p", "A ring: predicted wrong. " * guessed, BUTTONS if classes else "", class_="quiet"),
        element("script", data, type="application/json", id="points"),
        element("script", Html(SCRIPT)),
    )
    return page(title, subtitle=subtitle, sections=[("Map", content)])


def thumbnail_sheet(images: np.ndarray, side: int) -> bytes:
    """Images uint8 (n, h, w, 1 | 3), fitted into squares of `side` pixels, 32 a row, as one PNG."""
    rows = -(-len(images) // COLUMNS)
    sheet = Image.new("L" if images.shape[-1] == 1 else "RGB", (COLUMNS * side, rows * side))
    for number, pixels in enumerate(images):
        picture = to_pillow(pixels)
        picture.thumbnail((side, side))
        sheet.paste(picture, (number % COLUMNS * side, number // COLUMNS * side))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _mark(place, color, shape, wrong):
    x, y = place
    return element(
        "path",
        d=shape,
        fill=color,
        transform=f"translate({x:g} {y:g})",
        class_="wrong" if wrong else None,
    )


def _looks(labels):
    """{class: (colour, path)}; black would not be seen on a dark page."""
    found = {label: look(mark) for label, mark in marks(labels).items()}
    ink = {PALETTE[-1]: "var(--ink)"}
    return {label: (ink.get(color, color), SHAPES[marker]) for label, (color, marker) in found.items()}


def _keys(sample, classes, looks):
    buttons = []
    for label, (color, shape) in looks.items() if classes else ():
        mark = element("svg", element("path", d=shape, fill=color), viewBox="-6 -6 12 12")
        pressed = {"aria-pressed": "true", "data-label": label}
        buttons.append(element("button", mark, class_name(classes, label), type="button", **pressed))
    if sample.probabilities is not None:
        buttons.append(element("button", "only mistakes", type="button", **{"aria-pressed": "false"}))
    return element("div", *buttons, class_="keys")
