"""Names of files and classes as text for a person."""

import re

# What moves a terminal's cursor, sets its title or turns its text around: all controls but the tab and the new line.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def shown(name: object) -> str:
    """A name as text that can be written anywhere: bytes that are no UTF-8 and controls become a backslash and a code.

    A terminal obeys controls, and names may be a stranger's.
    """
    text = str(name).encode("utf-8", "backslashreplace").decode("utf-8")
    return CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
