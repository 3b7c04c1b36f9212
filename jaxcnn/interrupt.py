"""Ctrl-C ends the program, wherever it comes: while Python imports, in a callback, while the program ends."""

import os
import signal
import sys
import threading

GRACE = 10  # seconds in which what was begun is closed
EXIT_INTERRUPTED = 130


def end_on_interrupt() -> None:
    """From here on a Ctrl-C ends this process with exit code 130 and one line: in GRACE seconds, or at the next one.

    Python raises KeyboardInterrupt where the program happens to be. A callback (JAX has one in the garbage collector)
    or a bare `except` swallows it, and the program would continue. While a run trains, `Termination` takes the
    signal instead.
    """
    interrupted = False

    def handle(*_):
        nonlocal interrupted
        if interrupted:
            leave()
        interrupted = True
        timer = threading.Timer(GRACE, leave)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # from Python 3.12 on no thread begins while the interpreter ends
            leave()
        raise KeyboardInterrupt

    def unraisable(swallowed, before=sys.unraisablehook):
        if issubclass(swallowed.exc_type, KeyboardInterrupt):
            leave()
        before(swallowed)

    def uncaught(kind, error, trace, before=sys.excepthook):
        if issubclass(kind, KeyboardInterrupt):
            leave()
        before(kind, error, trace)

    sys.unraisablehook, sys.excepthook = unraisable, uncaught
    signal.signal(signal.SIGINT, handle)


def leave() -> None:
    """Ends this process at once, as interrupted."""
    cursor = b"\x1b[?25h" if os.isatty(2) else b""  # a progress bar hides it
    os.write(2, cursor + b"jaxcnn: interrupted\n")
    os._exit(EXIT_INTERRUPTED)
