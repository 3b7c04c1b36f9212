"""Code that is named by data: which `package.module:attribute` this process may import.

A config names networks, losses and data sets of the user's own. The same names lie in the files of a run and in feature
files, which may be a stranger's, so a name is imported only after the user has given it: in a config, on the command
line, or as the argument of a Python call. What gives no name stays closed: a place that forgets to ask refuses.
"""

import contextlib
import functools
import importlib
import importlib.machinery
import inspect
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from typing import Any

from jaxcnn.errors import InputError, input_errors, nearest

__all__ = ["Untrusted", "allow", "allow_config"]

# Names of ours that stand in the files of a run: second tasks and imported weights.
OURS = frozenset(
    {
        "jaxcnn.transfer.forgetting:TwoHeads",
        "jaxcnn.transfer.forgetting:likelihood",
        "jaxcnn.transfer.lenet_caffe:LeNetCaffe",
    }
)
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
WANTED = {
    "architecture": "a class of flax.linen.Module, or a function of yours that builds one",
    "loss": "a function of yours, f(logits, targets) -> (n,)",
    "optimizer": "a function of yours, f(numbers, **options) -> optax.GradientTransformation",
    "schedule": "a function of yours, f(total, steps_per_epoch, **options) -> f(step)",
    "operation": "a function of yours, f(key, image, magnitude) -> image",
    "metric": "a function of yours, f(outputs, batch) -> (n,)",
    "data set": "a function or class of yours that takes (split, *, data_dir, ...) and returns Records",
    "task": "a jaxcnn.tasks.Kind",
    "sampler": "a function or class of yours that takes (labels, *, seed, batch_size, **options) and has "
    "records(start, stop)",
}
SCHEMES = ("tfds", "folder", "images", "pairs")  # data sets that are files: tfds:mnist names no module

_allowed = set()
_read_in = {}  # {name: where a file of data gave it}
_given = []
_left_out = []  # the current folder, where `python -m` puts it on the path


class Untrusted(InputError):
    """A file names code that the user has not allowed."""


def is_code(name: Any) -> bool:
    """Whether a name is `package.module:attribute`."""
    return isinstance(name, str) and bool(NAME.fullmatch(name)) and name.partition(":")[0] not in SCHEMES


def allow(*names: Any) -> None:
    """Allows this process to import these names, which the user gives; other names, as "resnet20", are passed over.

    Args:
      names: `package.module:attribute`, for example "my_project.nets:Net".
    Raises:
      InputError: a module is of Python's standard library.
    """
    for name in filter(is_code, names):
        _refuse_standard(name.partition(":")[0], f"'{name}'")
        _allowed.add(name)
        find_here()


def allow_given(names: Any) -> None:
    """`allow` for --trust-code, which names nothing else.

    Raises:
      InputError: one is not of the form `package.module:attribute`, or of the standard library.
    """
    for name in names:
        if not is_code(name):
            raise InputError(f"--trust-code is '{name}'; it names code, as my_project.nets:Net.")
    allow(*names)


def allow_config(config: Any) -> None:
    """Allows the names of a config that the user has written; see `allow`."""
    allow(*names(config))


def named_by(config: Any, file: str | os.PathLike[str]) -> Any:
    """Remembers which file of data gave the names of a config, for the message that refuses them; returns the config.

    Args:
      config: a ConfigDict or the dict of a file.
      file: its path.
    """
    for name, key in names(config).items():
        _read_in[name] = f"{file}: {key} is '{name}'"
    return config


def check(name: Any) -> None:
    """Raises Untrusted for the name of code that the user has not given; InputError for the standard library's."""
    if not is_code(name) or name in OURS or name in _allowed:
        return
    where = _read_in.get(name, f"'{name}'")
    _refuse_standard(name.partition(":")[0], where)
    file = where.partition(": ")[0]
    others = [other for other, there in _read_in.items() if there.partition(": ")[0] == file and other not in _allowed]
    asked = list(dict.fromkeys((name, *(other for other in others if other not in OURS))))
    raise Untrusted(
        f"{where}, which names code. Nothing that a file names is imported unless you allow it: if you know whose code "
        f"it is, give {' '.join(f'--trust-code {one}' for one in asked)} (in Python: "
        f"jaxcnn.trust.allow({', '.join(map(repr, asked))}))."
    )


def resolve(name: Any, table: Mapping[str, Any], *, kind: str) -> Any:
    """The object that a name of a config stands for: `table[name]`, or the user's own as `package.module:attribute`.

    Args:
      name: the name.
      table: {name: what it stands for} of ours. Where it has names "library:attribute", others of that library are
        unknown.
      kind: as for `import_code`.
    Raises:
      InputError: as `import_code`.
      ValueError: no such name; the message names the nearest and the form of a name of the user's own.
    """
    check_name(name, table, kind=kind)
    return table[name] if name in table else import_code(name, kind=kind)


def check_name(name: Any, table: Mapping[str, Any], *, kind: str) -> None:
    """The ValueError of `resolve` for a name that is neither of the table nor of a form of code; imports nothing."""
    libraries = {known.partition(":")[0] for known in table if ":" in known}
    if name not in table and (":" not in name or name.partition(":")[0] in libraries):
        raise ValueError(f"unknown {kind} {name!r}; {nearest(name, table)}; one of your own: package.module:attribute")


def check_options(
    name: str, function: Callable[..., Any], options: Iterable[str], *, given: int = 0, without: Collection[str] = ()
) -> None:
    """Raises ValueError for an option that a function takes no keyword argument for.

    Args:
      name: of the function, for the message.
      function: whose arguments they become.
      options: their names.
      given: how many of its first arguments are not the user's.
      without: names of others that are not.
    """
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [parameter for parameter in list(parameters)[given:] if parameter not in without]
    for option in options:
        if option not in known:
            raise ValueError(f"{name} takes no option {option!r}; {nearest(option, known)}")


def call(function: Any, *given: Any, name: Any, where: str, options: Any) -> Any:
    """function(*given, **options) of what a config names.

    Args:
      function: as `resolve` returns it.
      *given: its first arguments.
      name: of the config.
      where: the key of the options, for messages.
      options: a dict, or ConfigDict, of keyword arguments.
    Raises:
      InputError: it takes no such option, or fails.
    """
    with input_errors(where):
        check_options(name, function, options, given=len(given))
    try:
        with slips_named(where, name):
            return function(*given, **options)
    except TypeError as error:
        raise InputError(f"{where}: {name}: {error}") from error


def import_code(name: Any, *, kind: str) -> Any:
    """The object of `package.module:attribute`, checked before anybody calls it.

    Args:
      name: a name that the user has given, see `allow`.
      kind: a key of WANTED, which says for each what it is.
    Raises:
      InputError: the name is not allowed, or what it names is something else or of the standard library.
      ValueError: no such module on the path, or no such attribute in it.
    """
    module, _, attribute = name.partition(":")
    if not is_code(name):  # of another form, or tfds:NAME and folder:NAME, which `check` passes over
        raise ValueError(f"{kind} {name!r} is not of the form package.module:attribute")
    check(name)
    try:
        with slips_named(f"{kind} {name} is imported", name):
            found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{kind} {name!r}: no module {module!r} on the path; start where it can be imported, "
            "or put its folder on PYTHONPATH"
        ) from error
    if not hasattr(found, attribute):
        raise ValueError(
            f"{kind} {name!r}: {module} has no attribute {attribute!r}; "
            + nearest(attribute, [k for k in vars(found) if not k.startswith("_")])
        )
    return _checked(getattr(found, attribute), name, kind)


@contextlib.contextmanager
def slips_named(where: str, name: Any) -> Generator[None, None, None]:
    """Turns what the user's own code raises into an InputError with its file and line; ValueErrors as input_errors.

    Args:
      where: what was done, for the message.
      name: of the code that is called; nothing but ValueErrors is turned where it is not `package.module:attribute`.
    """
    try:
        with input_errors(where):
            yield
    except Exception as error:
        cause = error.__cause__ if isinstance(error, InputError) else error
        place = _place(cause, name) if cause is not None and is_code(name) else ""
        if not place:
            raise
        words = f"{where}: {type(cause).__name__}: {' '.join(str(cause).split())}"
        raise InputError(f"{place}: {words}") from cause


def leave_out(folder: str | None) -> None:
    """Says that the current folder was taken off the path; processes that we start leave it out too, if they can.

    Args:
      folder: its path, None for none.
    """
    if folder:
        _left_out.append(folder)
    if any(finder.find_spec("jaxcnn", None) for finder in sys.meta_path):  # installed, in an editable way too
        os.environ["PYTHONSAFEPATH"] = "1"
    else:  # a checkout that is not installed and was started from its folder: our own processes find it there
        sys.path.append(str(pathlib.Path(__file__).parents[1]))


def given_file() -> Any:
    """The path of the config or study file that the user gave last; None for none."""
    return _given[-1] if _given else None


def find_here(file: str | os.PathLike[str] | None = None) -> None:
    """Puts the current folder at the end of the path, where it shadows nothing: the user names code of their own.

    Args:
      file: the config or study file that the user gives.
    """
    if file is not None:
        _given[:] = [pathlib.Path(file)]
    sys.path.extend(folder for folder in _left_out if folder not in sys.path)


def names(config: Any) -> dict[str, str]:
    """{name: key} of the code that a config, or the dict of a file, names: network, loss, data set, and in options."""
    found = {}

    def look(value, key):
        if hasattr(value, "items"):
            for part, inner in value.items():
                look(inner, f"{key}.{part}" if key else str(part))
        elif isinstance(value, list | tuple):
            for inner in value:
                look(inner, key)
        elif is_code(value):
            found.setdefault(value, key)

    look(config, "")
    return found


def _refuse_standard(module, where):
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise InputError(
            f"{where}: {module} is of Python's standard library, which holds nothing to train with. It is "
            "never imported, whoever asks."
        )


def _checked(found, name, kind):
    """The object that was found, if it can be of this kind."""
    if kind == "task":  # is no code, and `jaxcnn.tasks.kind_allowed` knows its type
        return found
    code = inspect.unwrap(found) if callable(found) else found
    while isinstance(code, functools.partial):
        code = code.func
    fits = inspect.isfunction(code)
    if inspect.isclass(code) and kind == "architecture":
        import flax.linen as nn

        fits = issubclass(code, nn.Module)
    elif inspect.isclass(code):
        fits = kind in ("data set", "sampler")
    if not fits:
        what = f"the class {code.__name__}" if inspect.isclass(code) else f"an object of type {type(code).__name__}"
        raise InputError(f"{kind} {name} is {what}; it is {WANTED[kind]}.")
    _refuse_standard(code.__module__ or "", f"{kind} {name}")
    return found


def _place(error, name):
    """ "FILE, line N" where an error arose in the package of the code; of a wrong call, where its callee is defined."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    module, _, attribute = name.partition(":")
    top = module.partition(".")[0]
    frames = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").partition(".")[0] == top
    ]
    if frames and top != "jaxcnn":
        return "{}, line {}".format(*frames[-1])
    code: Any = getattr(sys.modules.get(module), attribute, None)
    code = inspect.unwrap(code)
    if not isinstance(error, TypeError) or code is None:
        return ""
    with contextlib.suppress(OSError, TypeError):
        return f"{inspect.getsourcefile(code)}, line {inspect.getsourcelines(code)[1]}"
    return ""
