"""Our docstrings, which are plain text with `code` in backticks, as the reStructuredText that Sphinx reads.

Prose, lists, fenced code and tables by bars mean what they do in Markdown; lines that stand further in, or in columns,
stay as they are. Sections of names (Args, Attributes, Raises) are left to napoleon, which comes next.
"""

import re
import textwrap

from docutils import nodes
from sphinx import addnodes
from sphinx.domains.python import PyObject

SECTIONS = ("Args:", "Attributes:", "Returns:", "Raises:", "Yields:")


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _process, priority=400)  # napoleon has 500
    app.connect("autodoc-process-signature", _plain_signature)
    app.connect("autodoc-skip-member", _skip)
    app.connect("doctree-read", _set_fields)
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"  # napoleon's word for them means another thing in Flax
    return {"parallel_read_safe": True}


def restructured(lines):
    """The lines of a docstring, its common indentation removed, as those of reStructuredText."""
    written, rest = [], list(lines)
    while rest:
        block, written_so = _first(rest)
        del rest[:block]
        written += written_so
    return written


def _first(lines):
    """How many lines the first block has, and what is written for it."""
    first = lines[0]
    if not first.strip():
        return 1, [""]
    if first.startswith("```"):
        end = lines.index("```", 1)
        return end + 1, ["", f".. code-block:: {first[3:] or 'text'}", "", *_inside(lines[1:end]), ""]
    if first in SECTIONS:
        end = _end(lines, lambda line: not line.strip() or line.startswith(" "))
        if first in ("Returns:", "Yields:"):  # text, of which napoleon would take what stands before a colon for a type
            inside = restructured(textwrap.dedent("\n".join(lines[1:end])).splitlines())
            return end, ["", f":{first[:-1]}:", *_inside(inside), ""]
        # Sphinx takes the first of several words before a colon for a type; _set_fields brings their spaces back.
        named = [
            re.sub(r"^  [\w*]+(, [\w*]+)+:", lambda names: "  " + names[0][2:].replace(" ", ""), x)
            for x in lines[1:end]
        ]
        return end, ["", first, *map(_escaped, named), ""]
    if first.startswith("|") and lines[1:2] and lines[1].startswith("|--"):
        end = _end(lines, lambda line: line.startswith("|"))
        return end, _table(lines[:end])
    if first.startswith(" "):
        end = _end(lines, lambda line: not line.strip() or line.startswith(" "))
        return end, ["", "::", "", *_inside(lines[:end]), ""]
    if first.startswith("- "):
        end = _end(lines, lambda line: line.startswith(("- ", "  ")))
        return end, ["", *map(_escaped, lines[:end]), ""]
    end = _end(
        lines, lambda line: line.strip() and not line.startswith((" ", "- ", "|-", "```")) and line not in SECTIONS
    )
    if any("   " in line for line in lines[:end]):  # columns
        return end, ["", "::", "", *_inside(lines[:end]), ""]
    return end, list(map(_escaped, lines[:end]))


def _end(lines, belongs):
    """The number of the first line, behind line 0, that no longer belongs to its block."""
    return next((i for i, line in enumerate(lines) if i and not belongs(line)), len(lines))


def _inside(lines):
    return [f"   {line}" for line in lines]


def _escaped(line):
    """Prose, in which nothing but `code` is markup."""
    parts = re.split(r"`([^`]+)`", line)
    prose = [re.sub(r"([\\*|_`])", r"\\\1", part) for part in parts[::2]]
    code = [f"``{part}``" for part in parts[1::2]]
    glued = prose[0]
    for name, behind in zip(code, prose[1:], strict=True):
        glued += name + (r"\ " if re.match(r"\w", behind) else "") + behind
    return glued


def _table(lines):
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("| "))] for line in lines]
    written = ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in [rows[0], *rows[2:]]:
        written += [f"   {'* -' if i == 0 else '  -'} {_escaped(cell)}" for i, cell in enumerate(row)]
    return [*written, ""]


def _process(app, what, name, subject, options, lines):
    lines[:] = restructured(lines)


def _plain_signature(app, what, name, subject, options, signature, returned):
    """Defaults that are classes or functions by their names; a Linen module without Flax's `parent` and `name`."""
    if signature:
        signature = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", signature)
        signature = re.sub(r"<function (\w+)(?:\.[\w.<>]+)?(?: at 0x\w+)?>", r"\1", signature)
        if what == "class":
            signature = re.sub(
                r", parent(: .*?)? = .*?, name(: .*?)? = None\)$|, parent=.*?, name=None\)$", ")", signature
            )
        return signature, returned


def _set_fields(app, document):
    """Several names with spaces between them again, and a dash behind them, which Sphinx writes as two hyphens."""
    for field in document.findall(nodes.field):
        for name in field.findall(addnodes.literal_strong):
            name.children = [nodes.Text(name.astext().replace(",", ", "))]
        for text in field.findall(nodes.Text):
            if text == " -- ":
                text.parent.replace(text, nodes.Text(" – "))


def _skip(app, what, name, subject, skip, options):
    """Fields stand under Attributes; what Python says of those of a named tuple, or JAX of a default, is left out."""
    foreign = not (getattr(subject, "__module__", None) or "jaxcnn").startswith("jaxcnn")
    return True if type(subject).__name__ == "_tuplegetter" or (foreign and callable(subject)) else None
