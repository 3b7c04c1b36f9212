"""Numbers of a study for a reader; a metric is {"label", "unit", ...}, and its unit "points" a fraction in per cent."""

from jaxcnn.visualize.page import whole


def amount(value, metric):
    """A number of a metric without its unit: 61.25 of the fraction 0.6125; "n/a" of None."""
    if value is None:
        return "n/a"
    if metric["unit"] == "points":
        return f"{100 * value:.2f}"
    return f"{value:#.3g}" if abs(value) < 100 else whole(value)


def multiple(metric):
    """By how much a number of a metric is multiplied before it is drawn."""
    return 100 if metric["unit"] == "points" else 1


def extent(interval, metric):
    """ "0.22 to 1.00"; "n/a" of None."""
    return "n/a" if interval is None else " to ".join(amount(value, metric) for value in interval)


def probability(p):
    """A p: two digits, "< 0.0001" below that; "n/a" of None."""
    return "n/a" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def heading(metric):
    """What a metric's column or axis is called: "test accuracy (%)"; "test loss (lower is better)"."""
    unit = "%" if metric["unit"] == "points" else metric["unit"]
    words = ", ".join(filter(None, (unit, "" if metric["higher_is_better"] else "lower is better")))
    label = metric["label"][:1].upper() + metric["label"][1:]
    return f"{label} ({words})" if words else label
