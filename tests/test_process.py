"""How a process is set up: memory, for which platforms flags are set, and how often garbage is looked for."""

import gc
import importlib.metadata
import importlib.util
import os
import subprocess
import sys

import pytest

from jaxcnn import process


@pytest.mark.parametrize(
    ("platforms", "flags", "expected"),
    [
        ("cpu", None, f"--xla_backend_extra_options={process.FUSION}"),
        ("", None, f"--xla_backend_extra_options={process.FUSION}"),
        ("cpu", "--xla_dump_to=d", f"--xla_dump_to=d --xla_backend_extra_options={process.FUSION}"),
        ("cpu", "--xla_backend_extra_options=own", "--xla_backend_extra_options=own"),
        ("cuda", None, None),
        ("tpu,cpu", "--xla_dump_to=d", "--xla_dump_to=d"),
    ],
)
def test_flags(monkeypatch, platforms, flags, expected):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setenv("XLA_FLAGS", flags or "")
    if flags is None:
        monkeypatch.delenv("XLA_FLAGS")
    process.set_up_process()
    assert os.environ.get("XLA_FLAGS") == expected


def test_an_accelerators_plugin_is_seen(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ("cuda",) if group == "jax_plugins" else ())
    monkeypatch.setenv("JAX_PLATFORMS", "")
    monkeypatch.delenv("XLA_FLAGS")
    process.set_up_process()
    assert "XLA_FLAGS" not in os.environ


def test_garbage_is_looked_for_less_often():
    before = gc.get_threshold()
    try:
        process.set_up_process()
        assert gc.get_threshold() == process.GARBAGE
    finally:
        gc.set_threshold(*before)


@pytest.mark.skipif(sys.platform != "linux", reason="huge pages are Linux's")
@pytest.mark.parametrize("way_in", ["module", "installed"])
@pytest.mark.parametrize(
    ("given", "first", "expected"),
    [
        (None, "compare", "glibc.malloc.hugetlb=1"),
        (None, "--version", None),
        ("", "compare", ""),
        ("glibc.malloc.tcache_count=9", "compare", "glibc.malloc.tcache_count=9"),
    ],
)
def test_a_verb_begins_once_more_with_its_memory_in_huge_pages(given, first, expected, way_in, tmp_path):
    """What the process that the command line ends up in was started with; its number is that of the first."""
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, os, pathlib\n"
        "pairs = pathlib.Path('/proc/self/environ').read_text().split('\\0')\n"
        "first = dict(pair.split('=', 1) for pair in pairs if '=' in pair)\n"
        "atexit.register(lambda: print('ends', os.getpid(), repr(first.get('GLIBC_TUNABLES'))))\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"} | {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    }
    if given is not None:
        env["GLIBC_TUNABLES"] = given
    script = tmp_path / "jaxcnn-command"  # what pip writes for [project.scripts]
    script.write_text(
        "import sys\nfrom jaxcnn.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
    )
    command = [sys.executable, *(["-m", "jaxcnn"] if way_in == "module" else [script]), first, "--help"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.communicate()[0].splitlines()[-1] == f"ends {process.pid} {expected!r}"
    assert process.returncode == 0
