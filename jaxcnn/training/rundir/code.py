"""The user's own code that a run was made of: its sources lie in RUN/code, as data that is never imported.

Kept are the modules that a config names, those of the same package that they use, and the config or study file.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import inspect
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import weakref
from typing import TYPE_CHECKING, Any

import jax

from jaxcnn import trust
from jaxcnn.errors import InputError
from jaxcnn.files import read_json, write_json, write_text

if TYPE_CHECKING:
    from ml_collections import ConfigDict


FOLDER, HASHES, GIVEN = "code", "hashes.json", "given"
LARGEST = 2**20  # bytes of a source that is kept; of a larger one only the hash
DIFF_LINES = 40
INSTALLED = {pathlib.Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib")}
OURS = pathlib.Path(__file__).resolve().parents[2]

_texts = weakref.WeakKeyDictionary()  # {module: its source when it was first looked at, which is what was imported}
logger = logging.getLogger(__name__)


def own_sources(config: ConfigDict) -> dict[str, str]:
    """{path below code/: source} of the user's code that a config names, as far as it is imported in this process."""
    return {path: _texts[module] for path, module in _modules(config).items()}


def code_digest(config: ConfigDict) -> str:
    """64 hexadecimal digits of the user's code that a config of theirs names, which is imported; "" for none."""
    trust.allow_config(config)
    for name in trust.names(config):
        try:
            importlib.import_module(name.partition(":")[0])
        except Exception:  # it is said where the run begins
            return ""
    return _digest(own_sources(config))


def keep_code(workdir: str | os.PathLike[str], config: ConfigDict, *, allow_changed: bool = False) -> None:
    """Keeps the sources of a start in RUN/code; those of before stay in RUN/code/before-N.

    Args:
      workdir: the run directory.
      config: its config, whose code is imported.
      allow_changed: whether a run that began with other sources may resume with these.
    Raises:
      InputError: the sources are not those that the run was begun with; shows the difference.
    """
    folder, sources = pathlib.Path(workdir) / FOLDER, own_sources(config)
    changed = changed_code(workdir, config)
    if changed and not allow_changed:
        raise InputError(
            f"{', '.join(changed)} changed since the run in {workdir} was trained: resumed, it would be another "
            "run. Restore the code, give another workdir, or resume with the change by --allow-changed-code (in "
            "Python: allow_changed_code=True).\n" + _difference(folder, changed[0], sources[changed[0]])
        )
    if jax.process_index() or (not changed and (folder / HASHES).exists()):
        return
    if changed:
        _put_aside(folder)
    given = trust.given_file()
    if given is not None and given.is_file():
        sources = {**sources, f"{GIVEN}/{given.name}": given.read_text(encoding="utf-8", errors="replace")}
    if not sources:
        return
    for path, text in sources.items():
        if len(text) <= LARGEST:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_text(folder / path, text)
    about = {path: {"sha256": _hash(text), "kept": len(text) <= LARGEST} for path, text in sources.items()}
    write_json(folder / HASHES, about)


def changed_code(workdir: str | os.PathLike[str], config: ConfigDict) -> list[str]:
    """The paths of imported sources that are others than those that a run has kept."""
    path = pathlib.Path(workdir) / FOLDER / HASHES
    if not path.exists():
        return []
    kept = read_json(path)
    if not all(isinstance(about, dict) and isinstance(about.get("sha256"), str) for about in kept.values()):
        raise InputError(f"{path} is damaged: it does not hold a sha256 for each source.")
    return [name for name, text in own_sources(config).items() if name in kept and kept[name]["sha256"] != _hash(text)]


def warn_of_changed_code(workdir: str | os.PathLike[str], config: ConfigDict, said: set) -> None:
    """Warns in a sentence of sources that the run was not trained with; `said` is a set of those that were named."""
    if changed := sorted(set(changed_code(workdir, config)) - said):
        said.update(changed)
        logger.warning(
            "%s changed since the run in %s was trained: what it computes now may be something else. The sources of "
            "then lie in %s.",
            *(", ".join(changed), workdir, pathlib.Path(workdir) / FOLDER),
        )


def about_code(config: ConfigDict) -> dict[str, Any]:
    """The entry of the user's code in environment.json: its digest, and its git commit, "+" behind it if not clean."""
    found = _modules(config)
    if not found:
        return {}
    commits = {}
    for module in found.values():
        file = pathlib.Path(module.__file__).resolve()
        commits.setdefault(str(file.parent), []).append(str(file))
    commits = {folder: commit_of(folder, "--", *files) for folder, files in sorted(commits.items())}
    return {"code": {"sha256": _digest(own_sources(config)), "git_commits": commits}}


def _modules(config):
    """{path: module} of the named modules and those of the same package that they use, by their names."""
    waiting = [sys.modules.get(name.partition(":")[0]) for name in trust.names(config)]
    found = {}
    while waiting:
        module = waiting.pop()
        path = _path(module)
        if path is None or path in found or not _is_own(module):
            continue
        found[path] = module
        if module not in _texts:
            path: Any = module.__file__
            _texts[module] = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
        package = module.__name__.partition(".")[0]
        used = (x.__name__ if inspect.ismodule(x) else getattr(x, "__module__", None) for x in vars(module).values())
        parents = module.__name__.split(".")[:-1]
        names = {*used, *(".".join(parents[:i]) for i in range(1, len(parents) + 1))}
        waiting += [sys.modules.get(n) for n in names if isinstance(n, str) and n.partition(".")[0] == package]
    return dict(sorted(found.items()))


def _path(module):
    """The path of a module's source below code/; None where it has none."""
    file = getattr(module, "__file__", None)
    if not file or not file.endswith(".py") or not pathlib.Path(file).is_file() or module.__name__ == "__main__":
        return None
    parts = module.__name__.split(".")
    return "/".join([*parts, "__init__.py"] if hasattr(module, "__path__") else [*parts[:-1], f"{parts[-1]}.py"])


def _is_own(module):
    parents = pathlib.Path(module.__file__).resolve().parents
    return OURS not in parents and not INSTALLED.intersection(parents)


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(sources):
    return _hash(json.dumps({path: _hash(text) for path, text in sources.items()}, sort_keys=True)) if sources else ""


def _difference(folder, path, source):
    """The first lines of a unified diff from the source that was kept to the one that is imported."""
    kept = folder / path
    if not kept.is_file():
        return f"{path} was too large to be kept: its difference cannot be shown."
    before = kept.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = list(difflib.unified_diff(before, source.splitlines(), f"{folder / path}", path, lineterm="", n=2))
    more = [f"... and {len(lines) - DIFF_LINES} more lines"] if len(lines) > DIFF_LINES else []
    return "\n".join([*lines[:DIFF_LINES], *more])


def _put_aside(folder):
    """Moves what code/ holds into code/before-N."""
    number = 1 + sum(1 for _ in folder.glob("before-*"))
    before = folder / f"before-{number}"
    before.mkdir()
    for path in folder.iterdir():
        if not path.name.startswith("before-"):
            shutil.move(path, before / path.name)


def commit_of(folder: Any, *of: str, toplevel: bool = False) -> str | None:
    """The git commit of the checkout that a folder lies in, "+" behind it where files differ; None outside one.

    Args:
      folder: a path.
      of: arguments of `git status` that say which files count.
      toplevel: only where the folder is the checkout's own, not one inside it.
    """

    def git(*arguments):  # without a program that the repository's own settings could name
        command = ["git", "-c", "core.fsmonitor=false", *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if toplevel and not pathlib.Path(folder).samefile(git("rev-parse", "--show-toplevel")):
            return None
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", *of) else "")
    except (OSError, subprocess.CalledProcessError):
        return None
