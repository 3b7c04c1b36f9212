"""What travels to a machine without a network: files in parts with checksums, and wheels."""

import hashlib
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence

MIB = 2**20
PART_MIB = 15
BACK_FILES, BACK_MIB = 8, 64  # what comes back from a lent machine
PARTS, RESULTS = "parts.json", "results.tar"
# What jaxcnn needs and the machine's image lacks; promise has no wheel and is built here.
MISSING_THERE = (
    *("array_record", "dm-tree", "dm_pix", "docstring_parser", "googleapis-common-protos", "grain", "immutabledict"),
    *("ml_collections", "promise", "pycocotools", "simple-parsing", "simplejpeg", "tensorboardX"),
    *("tensorflow-datasets", "tensorflow-metadata", "termcolor", "toml"),
)
MODULES = (  # by which the lack of any of these, and of what else jaxcnn imports, is found
    *("jax", "flax", "optax", "orbax.checkpoint", "ml_collections", "tensorflow_datasets", "grain", "array_record"),
    *("sklearn", "scipy", "matplotlib", "rich", "tensorboardX", "safetensors", "PIL", "simplejpeg", "dm_pix", "cv2"),
    "pycocotools",
)
PLATFORMS = tuple(f"manylinux_2_{n}_x86_64" for n in (17, 24, 27, 28, 31, 34, 35)) + ("manylinux2014_x86_64",)


def missing() -> list[str]:
    """The modules that jaxcnn imports and this Python lacks."""
    return [name for name in MODULES if not _there(name)]


def pack(source: pathlib.Path, folder: pathlib.Path, *, ended: Sequence[str] = ()) -> list[str]:
    """Writes the small files of a folder of results into results.tar, and all that the next call needs into parts.

    results.tar leaves out checkpoints alone, so that it tells everything where a part is lost. The parts have the
    newest checkpoint of each run that has not ended. There are none where more than BACK_FILES or BACK_MIB would have
    to come back.

    Args:
      source: the folder.
      folder: where results.tar and the parts of `split` go.
      ended: the folders in it whose checkpoints nobody needs any more.
    Returns:
      The names of the parts, in order; [] where there are none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / RESULTS, "w") as tar:
        tar.add(source, arcname=source.name, filter=lambda entry: None if _of_checkpoints(entry.name) else entry)

    def needed(entry):
        part, *inside = pathlib.PurePath(entry.name).parts[1:] or ("",)
        if not _of_checkpoints(entry.name):
            return entry
        return None if part in ended or _is_needless(source.joinpath(part, *inside)) else entry

    parts = split(source, folder, needed=needed)
    files = [folder / name for name in (RESULTS, PARTS, *parts)]
    if len(files) > BACK_FILES or sum(file.stat().st_size for file in files) > BACK_MIB * MIB:
        for file in files[1:]:
            file.unlink()
        return []
    return parts


def _is_needless(path):
    """Whether a path in a folder of checkpoints is of an older one, or of a population's run that has ended."""
    within = next(parent for parent in (path, *path.parents) if parent.name == "checkpoints")
    run = within.parent
    if (run.parent / ".population").is_dir() and (run / "evaluations.jsonl").exists():
        return True
    steps = [step for step in within.iterdir() if step.name.isdecimal()]
    newest = max(steps, key=lambda step: int(step.name), default=None)
    return any(step != newest and (step == path or step in path.parents) for step in steps)


def _of_checkpoints(name):
    return "checkpoints" in pathlib.PurePath(name).parts


def split(
    source: pathlib.Path,
    folder: pathlib.Path,
    *,
    part_mib: float = PART_MIB,
    needed: Callable[[tarfile.TarInfo], tarfile.TarInfo | None] | None = None,
) -> list[str]:
    """Cuts a file, or a folder packed by tar, into parts and writes their checksums to parts.json beside them.

    Args:
      source: the file or folder.
      folder: where the parts go.
      part_mib: the largest part, MiB.
      needed: returns None of what a folder leaves out, as tarfile's filter.
    Returns:
      The names of the parts, in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packed = source
    if source.is_dir():
        packed = folder / "packed.tar"
        with tarfile.open(packed, "w") as tar:
            tar.add(source, arcname=source.name, filter=needed)
    parts = []
    with packed.open("rb") as file:
        while block := file.read(round(part_mib * MIB)):
            name = f"part{len(parts):03}"
            (folder / name).write_bytes(block)
            parts.append({"name": name, "sha256": hashlib.sha256(block).hexdigest()})
    record = {"name": source.name, "tar": source.is_dir(), "sha256": _digest(packed), "parts": parts}
    (folder / PARTS).write_text(json.dumps(record, indent=1) + "\n")
    if source.is_dir():
        packed.unlink()
    return [part["name"] for part in parts]


def join(folder: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
    """Puts what `split` cut back together in the folder target; returns the file or folder, under its old name.

    Raises:
      ValueError: a part is missing or damaged, with its name.
    """
    record = json.loads((folder / PARTS).read_text())
    target.mkdir(parents=True, exist_ok=True)
    name = pathlib.PurePath(record["name"]).name
    joined = target / ("packed.tar" if record["tar"] else name)
    with joined.open("wb") as file:
        for part in record["parts"]:
            path = folder / pathlib.PurePath(part["name"]).name
            if not path.is_file():
                raise ValueError(f"{path} is missing: carry all {len(record['parts'])} parts")
            block = path.read_bytes()
            if hashlib.sha256(block).hexdigest() != part["sha256"]:
                raise ValueError(f"{path} is damaged: its checksum is not that of {PARTS}")
            file.write(block)
    if _digest(joined) != record["sha256"]:
        raise ValueError(f"{joined} is damaged: its checksum is not that of {folder / PARTS}")
    if record["tar"]:
        with tarfile.open(joined) as tar:
            tar.extractall(target, filter="data")
        joined.unlink()
    return target / name


def wheels(folder: pathlib.Path, lock: pathlib.Path, *, names: tuple[str, ...] = MISSING_THERE) -> int:
    """Downloads the wheels of these packages for Python 3.12 on Linux, x86-64, at the lock's versions.

    Returns:
      Their size together in bytes.
    Raises:
      ValueError: the lock has no version of a package.
      subprocess.CalledProcessError: pip found no wheel; it has said which.
    """
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE))
    pinned = {_plain(name): version for name, version in pinned.items()}
    if lost := [name for name in names if _plain(name) not in pinned]:
        raise ValueError(f"{lock} has no version of {', '.join(lost)}")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: f"{name}=={pinned[_plain(name)]}" for name in names}
    pure = [wanted.pop("promise")] if "promise" in wanted else []
    options = ["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"]
    for platform in PLATFORMS:
        options += ["--platform", platform]
    if wanted:
        _pip("download", "--no-deps", *options, "-d", folder, *wanted.values())
    if pure:
        _pip("wheel", "--no-deps", "-w", folder, *pure)
    return sum(path.stat().st_size for path in folder.glob("*.whl"))


def _pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "--quiet", *map(str, arguments)], check=True)


def _there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of its package
        return False


def _plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def _digest(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
