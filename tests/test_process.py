"""How a process is set up: for which platforms flags are set, and how often garbage is looked for."""

import gc
import os

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
    monkeypatch.setattr(process.importlib.metadata, "entry_points", lambda group: ())
    monkeypatch.setattr(process.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setenv("XLA_FLAGS", flags or "")
    if flags is None:
        monkeypatch.delenv("XLA_FLAGS")
    process.set_up_process()
    assert os.environ.get("XLA_FLAGS") == expected


def test_an_accelerators_plugin_is_seen(monkeypatch):
    monkeypatch.setattr(
        process.importlib.metadata, "entry_points", lambda group: ("cuda",) if group == "jax_plugins" else ()
    )
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
