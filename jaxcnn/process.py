"""How a process is set up before JAX starts: memory, garbage, XLA's fusions on CPU; how it ends with another."""

import contextlib
import ctypes
import gc
import os
import sys
import threading
from collections.abc import Callable

# One fusion writes all that it computes instead of each reader computing it again: batch norm and relu were computed
# anew, in a strided order, for every weight gradient. ResNet-20's training step takes half the time with it, and its
# temporary memory is 1.4 times larger (jaxlib 0.10.2). It cannot be given as an option of one compilation.
FUSION = "xla_cpu_use_multi_output_fusion"
# glibc returns large arrays to the system after each step and then pays a page fault for every 4 KiB of the next. Each
# thread has heaps of its own, of at most 64 MiB, and an empty one goes back unless as much is to stay free.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
HEAP = 2**26
# glibc asks for huge pages, in which a step of ResNet-20 takes three quarters of the time. It reads this before Python
# runs, so that Python has to start once more.
TUNABLES, HUGE_PAGES = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"
# Tracing a network makes millions of objects that stay. Python looks through all of them again and again for garbage,
# a tenth of the time from a command to its first step: here it looks a hundredth as often.
GARBAGE = (50_000, 20, 100)


def use_huge_pages() -> None:
    """Starts this process anew, under its own number, with its memory in huge pages; once, and on Linux only.

    GLIBC_TUNABLES that the user has set stay, an empty one too: then nothing is started anew.
    """
    if sys.platform == "linux" and TUNABLES not in os.environ and sys.executable:
        os.environ[TUNABLES] = HUGE_PAGES
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def set_up_process() -> None:
    """Sets up this process for training. What the user has set in XLA_FLAGS stays.

    Python looks for garbage less often. Where the machine has no accelerator that JAX would use, memory is kept between
    steps and XLA's flags are set: that part has to come before JAX makes its first array, and is for Linux.
    """
    gc.set_threshold(*GARBAGE)
    if has_accelerator():
        return
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_backend_extra_options" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_backend_extra_options={FUSION}".strip()
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((M_TOP_PAD, HEAP), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(parameter, value)


def has_accelerator() -> bool:
    """Whether JAX would find an accelerator's plugin here, or was told to use one; asked without starting JAX."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms:
        return platforms != "cpu"
    import importlib.metadata  # these take longer than all else until a verb begins once more: use_huge_pages
    import importlib.util

    return bool(importlib.metadata.entry_points(group="jax_plugins")) or importlib.util.find_spec("libtpu") is not None


def at_end_of(descriptor: int, act: Callable[[], object]) -> None:
    """Calls act(), in a thread of its own, when the other end of a pipe or socket is closed: its process has ended."""

    def wait():
        with contextlib.suppress(OSError):  # the connection was broken off
            while os.read(descriptor, 1):
                pass
        act()

    threading.Thread(target=wait, daemon=True).start()
