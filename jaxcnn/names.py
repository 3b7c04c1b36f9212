"""Names of files and classes as text for a person."""


def shown(name):
    """A name as text that can be written anywhere: a byte that is no UTF-8 becomes a backslash and its code."""
    return str(name).encode("utf-8", "backslashreplace").decode("utf-8")
