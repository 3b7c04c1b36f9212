"""`python -m jaxcnn`, and the installed command `jaxcnn`."""

import os
import sys

# `python -m` puts the current folder first on the path. It may be a stranger's, with a file torch.py or inspect.py that
# would run in place of the real one; so it goes before anything is imported that Python has not loaded at its start.
# It comes back at the end of the path, where it shadows nothing, once the user names code: trust.find_here. What
# PYTHONPATH says stays.
try:
    here = os.getcwd()
except OSError:  # it was removed
    here = None
if not sys.flags.safe_path and here and sys.path[:1] == [here]:
    del sys.path[0]

from jaxcnn import trust
from jaxcnn.interrupt import end_on_interrupt
from jaxcnn.process import use_huge_pages

trust.leave_out(here)


def main() -> int:
    """The way in of `python -m jaxcnn` and of the installed command `jaxcnn`; returns the exit code."""
    end_on_interrupt()  # before the imports that take long
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):  # a verb; help needs no memory
        use_huge_pages()
    from jaxcnn import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
