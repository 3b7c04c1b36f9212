"""A warning for each link of the built site that leads nowhere: to a file or an anchor that is not there.

Sphinx checks the links that are written; what its extensions make in HTML (links between the reference and the sources)
is seen here alone. Links to other hosts are not followed.
"""

import html.parser
import pathlib
import urllib.parse

from sphinx.util import logging


def setup(app):
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True}


class _Page(html.parser.HTMLParser):
    """`anchors` and `links` of a page."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = {""}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.anchors.add(value)
            elif name in ("href", "src"):
                self.links.append(urllib.parse.urlsplit(value))


def broken(folder):
    """[(page, link)] below a folder: those whose file, or whose anchor in a page, is not there."""
    pages = {path: _Page(path) for path in sorted(pathlib.Path(folder).resolve().rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link in page.links:
            if link.scheme or link.netloc:
                continue
            target = (path.parent / urllib.parse.unquote(link.path)).resolve() if link.path else path
            anchors = pages[target].anchors if target in pages else None
            if not target.exists() or (anchors and urllib.parse.unquote(link.fragment) not in anchors):
                found.append((path, link.geturl()))
    return found


def _check(app, failure):
    if failure is None and app.builder.format == "html":
        for page, link in broken(app.outdir):
            logging.getLogger(__name__).warning("%s: a link leads nowhere: %s", page.relative_to(app.outdir), link)
