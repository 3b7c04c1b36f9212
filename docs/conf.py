"""Sphinx: `.ci/run docs` makes a site of README.md, docs/, the results of the experiments and our docstrings."""

import pathlib
import re
import sys

import jaxcnn

sys.path.insert(0, str(pathlib.Path(__file__).parent))

project, author, release = "jaxcnn", "The jaxcnn maintainers", jaxcnn.__version__
extensions = [
    *("myst_parser", "docstrings", "links"),
    *("sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"),
]
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "experiments/results/**.md"]
exclude_patterns = [".*", "build", "runs", "tests", "**/site-packages"]

highlight_language = "text"  # of a block that names none
smartquotes = False  # docstrings say --option and {"key": value} in plain text
html_theme = "furo"
html_title = f"jaxcnn {release}"
html_show_copyright = html_show_sourcelink = False
html_static_path, html_css_files = ["_static"], ["jaxcnn.css"]
html_extra_path = ["site"]  # index.html, which leads to README.html

myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "dtype, norm, kind"}  # fields whose default is a class or has a docstring
autodoc_typehints = "none"  # the docstrings say shapes and dtypes
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

PAGES = {
    "Guides": (
        "use",
        "networks",
        "weights",
        "export",
        "kinds",
        "faces",
        "study",
        "statistics",
        "extending",
        "accelerators",
        "cluster",
        "gallery",
    ),
    "Behind it": ("arithmetic", "design"),
}

RESULTS = pathlib.Path(__file__).parents[1] / "experiments" / "results"


def setup(app):
    app.connect("source-read", _with_contents)
    app.connect("html-page-context", _with_back_links)


def _with_contents(app, name, source):
    """README.md is the first page; the lists of the others are only of use in the site."""
    if name == root_doc:
        listed = {part: [f"docs/{page}" for page in pages] for part, pages in PAGES.items()}
        listed["Reference"] = ["docs/api/index"]
        listed["Project"] = ["experiments/results/README", "CONTRIBUTING", "CHANGELOG"]
        source[0] += "".join(_toctree(pages, f":caption: {part}") for part, pages in listed.items())
    elif name == "experiments/results/README":
        folders = sorted(path.parent.name for path in RESULTS.glob("*/README.md"))
        source[0] += _toctree(["papers", *(f"{name} <{name}/README>" for name in folders)], ":titlesonly:")


def _toctree(pages, option):
    return "\n".join(["", "```{toctree}", ":hidden:", option, *pages, "```", ""])


def _with_back_links(app, page, template, context, doctree):
    """Viewcode takes all of a file for documented in one place; `jaxcnn.train` stands apart from its neighbours."""
    if page.startswith("_modules/jaxcnn"):
        module, documented = context["title"], app.env.domains.python_domain.objects
        names = [
            module.rsplit(".", i)[0] for i in range(module.count(".") + 1)
        ]  # jaxcnn.tasks.task, jaxcnn.tasks, jaxcnn

        def back_link(found):
            at = next(documented[full] for name in names if (full := f"{name}.{found[2]}") in documented)
            return f'{found[1]}{app.builder.get_relative_uri(page, at.docname)}#{at.node_id}"'

        context["body"] = re.sub(r'(id="([^"]+)">\n<a class="viewcode-back" href=")[^"]*"', back_link, context["body"])
