"""One self-contained HTML page: style, figures and script inside, nothing fetched.

Text given to these functions is escaped. What they return is `Html`, which they take as it is, so parts nest.
"""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxcnn.quantity import compact, decimal, duration, measured, percent, whole  # noqa: F401, parts of a page
from jaxcnn.visualize.figure import DPI, png_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


STYLE = """
:root { color-scheme: light dark; --paper: #fff; --plate: #f6f7f9; --ink: #1b1f27; --quiet: #5c6470; --rule: #e2e5ea;
  --accent: #0072b2; --wrong: #c2500a; --right: #0a7d5a; --track: #e6e9ee; }
@media (prefers-color-scheme: dark) { :root { --paper: #141414; --plate: #1e1f22; --ink: #e4e7ec; --quiet: #9aa3b0;
  --rule: #30353e; --accent: #56b4e9; --wrong: #f0914d; --right: #3fc99b; --track: #333943; }
  img.drawn:not(.photographs) { filter: invert(0.92) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 44px 0 12px; padding-top: 14px; border-top: 1px solid var(--rule); }
h3 { font-size: .95rem; margin: 20px 0 8px; }
p { margin: 6px 0; max-width: 76ch; }
.quiet, figcaption { color: var(--quiet); font-size: .87rem; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 14px 0 0; font-size: .9rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(165px, 1fr)); gap: 10px; margin: 22px 0 0; }
.tile { background: var(--plate); border-radius: 8px; padding: 12px 14px; }
.tile .label { color: var(--quiet); font-size: .82rem; }
.tile .value { font-size: 1.35rem; font-weight: 600; white-space: nowrap; line-height: 1.35;
  font-variant-numeric: tabular-nums; }
.tile .note { color: var(--quiet); font-size: .8rem; overflow-wrap: anywhere; }
.notice { border-left: 4px solid var(--wrong); background: var(--plate); padding: 8px 14px; margin: 18px 0 0;
  max-width: none; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
td:first-child:not(.right) { min-width: 14ch; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; text-align: left; }
th { color: var(--quiet); font-weight: 500; font-size: .82rem; vertical-align: bottom; }
.right { text-align: right; white-space: nowrap; padding-left: 8px; }
td.code, code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: .84rem; overflow-wrap: anywhere; }
pre { background: var(--plate); border-radius: 8px; padding: 12px 14px; white-space: pre-wrap; margin: 8px 0; }
figure { margin: 0 0 14px; }
figure .frame { overflow: auto; text-align: center; }
img.drawn { max-width: 100%; height: auto; border-radius: 6px; cursor: zoom-in; }
img.drawn.full { max-width: none; width: auto; cursor: zoom-out; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--accent); font-size: .92rem; padding: 3px 0; }
details[open] > summary { margin-bottom: 8px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(272px, 1fr)); gap: 12px; }
.card { display: flex; gap: 12px; background: var(--plate); border-radius: 8px; padding: 10px; min-width: 0; }
.card img { width: 84px; height: 84px; object-fit: contain; flex: none; border-radius: 4px; background: var(--track); }
.card img.pixels { image-rendering: pixelated; }
.card .what { flex: 1; min-width: 0; font-size: .82rem; }
.answer { font-weight: 600; font-size: .86rem; }
.sheet { display: flex; flex-wrap: wrap; gap: 12px; align-items: flex-start; }
.sheet figure { margin: 0; max-width: 100%; }
.true { font-weight: 600; font-size: .86rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar { display: grid; grid-template-columns: minmax(0, 1fr) 44px 54px; gap: 6px; align-items: center;
  font-size: .8rem; }
.bar .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar .track { height: 7px; background: var(--track); border-radius: 4px; overflow: hidden; }
.bar .fill { display: block; height: 100%; background: var(--quiet); }
.bar .fill.hit { background: var(--right); } .bar .fill.miss { background: var(--wrong); }
.bar .amount { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bars { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(400px, 100%), 1fr)); gap: 3px 48px; }
.bars .bar { grid-template-columns: minmax(0, 1fr) 110px 150px; font-size: .85rem; }
@media (max-width: 640px) { main { padding: 18px 14px 48px; } .tiles { grid-template-columns: 1fr 1fr; }
  .tile .value { font-size: 1.2rem; } }
@media print { summary { display: none; } .card, .tile, figure { break-inside: avoid; } }
"""

SCRIPT = """
document.querySelectorAll("img.drawn").forEach(image =>
  image.addEventListener("click", () => image.classList.toggle("full")));
"""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

CSS_PIXELS = 96  # an inch of a figure on the page


class Html(str):
    """Markup that is already safe; every other string is text and is escaped."""


def text(value: Any) -> Html:
    """Any value as escaped text; Html as it is; None as a dash."""
    if isinstance(value, Html):
        return value
    return Html("–" if value is None else html.escape(str(value)))


def join(*parts: Any) -> Html:
    """Parts one after another; None is left out."""
    return Html("\n".join(text(part) for part in parts if part is not None))


def element(tag: str, *parts: Any, **attributes: Any) -> Html:
    """<tag attributes>parts</tag>; a name loses its trailing underscore (class_); what is None is left out."""
    pairs = ((name.rstrip("_"), value) for name, value in attributes.items() if value is not None)
    inside = "".join(f' {name}="{html.escape(str(value))}"' for name, value in pairs)
    return Html(f"<{tag}{inside}>{''.join(text(part) for part in parts if part is not None)}</{tag}>")


def page(
    title: str,
    *,
    subtitle: str = "",
    tiles: Sequence[Any] = (),
    notices: Sequence[Any] = (),
    sections: Sequence[Any] = (),
) -> str:
    """A whole HTML document.

    Args:
      title, subtitle: text above everything.
      tiles: (label, value, note) of the headline figures.
      notices: warnings shown below them.
      sections: (heading, content) pairs; those whose content is empty or None are left out, the rest is linked on top.
    """
    shown = [(f"part{index}", heading, body) for index, (heading, body) in enumerate(sections) if body]
    links = [element("a", heading, href=f"#{anchor}") for anchor, heading, _ in shown]
    body = join(
        element("h1", title),
        element("div", subtitle, class_="quiet"),
        element("nav", join(*links)) if len(shown) > 1 else None,
        element("div", join(*(_tile(*tile) for tile in tiles)), class_="tiles") if tiles else None,
        *(element("p", notice, class_="notice") for notice in notices),
        *(element("section", element("h2", heading), content, id=anchor) for anchor, heading, content in shown),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def table(
    header: Sequence[Any], rows: Iterable[Sequence[Any]], *, numeric: Sequence[int] = (), code: Sequence[int] = ()
) -> Html:
    """A table that scrolls sideways where it is too wide.

    Args:
      header: one text a column.
      rows: each as long as the header.
      numeric: the columns (by index) set to the right.
      code: the columns set in a monospaced face.
    Raises:
      ValueError: a row is longer or shorter than the header.
    """
    kind = {**dict.fromkeys(code, "code"), **dict.fromkeys(numeric, "right")}
    header = list(header)
    kinds = [kind.get(index) for index in range(len(header))]
    lines = []
    for row in rows:
        cells = (element("td", text(cell), class_=face) for face, cell in zip(kinds, row, strict=True))
        lines.append(element("tr", *cells))
    titles = (element("th", name, scope="col", class_=face) for face, name in zip(kinds, header, strict=True))
    head = element("tr", *titles)
    body = element("tbody", join(*lines))
    return element("div", element("table", element("thead", head), body), class_="scroll")


def image(png: bytes, alt: str, *, class_: str | None = None, width: float | None = None) -> Html:
    """PNG bytes as an <img> inside the page, `width` CSS pixels wide (its own where None)."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    return Html(element("img", src=source, alt=alt, class_=class_, width=width).removesuffix("</img>"))


def figure(drawn: Figure, alt: str, *, caption: str | None = None) -> Html:
    """A matplotlib Figure inside the page; a click shows it at full size."""
    return plate(png_bytes(drawn), alt, caption=caption)


def plate(png: bytes, alt: str, *, caption: str | None = None, class_: str | None = "drawn") -> Html:
    """A PNG at 150 dpi inside the page; a click shows it at full size.

    Dark pages invert what is `drawn`, but not `drawn photographs`.
    """
    pixels = int.from_bytes(png[16:20])  # the width in a PNG's header
    frame = element("div", image(png, alt, class_=class_, width=round(pixels * CSS_PIXELS / DPI)), class_="frame")
    return element("figure", frame, element("figcaption", caption) if caption else None)


def details(summary: Any, content: Any) -> Html:
    """Content that opens on a click."""
    return element("details", element("summary", summary), content)


def bar(name: str, fraction: float, amount: Any, *, kind: str | None = None) -> Html:
    """A name, a bar as long as `fraction` of its track (NaN is empty), and an amount."""
    width = 100 * min(max(fraction, 0), 1) if math.isfinite(fraction) else 0
    fill = element("span", class_=" ".join(filter(None, ("fill", kind))), style=f"width:{width:.1f}%")
    return element(
        "div",
        element("span", name, class_="name", title=name),
        element("span", fill, class_="track"),
        element("span", amount, class_="amount"),
        class_="bar",
    )


def settings(values: Mapping[str, Any]) -> Html:
    """A nested dict as a table of its dotted keys."""
    return table(("key", "value"), flatten(values), code=(0, 1))


def folded(what: str, values: Mapping[str, Any] | None) -> Html | None:
    """`settings` behind a click that says how many `what` they are; None where there are none."""
    return details(f"{len(flatten(values))} {what}", settings(values)) if values else None


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """[(dotted key, value as text)] of a nested dict, in its order; strings as they are, other values as JSON."""
    pairs = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            pairs.extend(flatten(value, f"{prefix}{key}."))
        else:
            words = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
            pairs.append((f"{prefix}{key}", words))
    return pairs


def _tile(label, value, note=""):
    parts = (("label", label), ("value", value), ("note", note))
    return element("div", *(element("div", content, class_=name) for name, content in parts), class_="tile")
