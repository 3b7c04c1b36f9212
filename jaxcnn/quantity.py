"""Numbers for a reader, as text.

A metric is {"label", "unit", "higher_is_better"}, and its unit "points" a fraction in per cent, as a Measure's is.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any


def percent(fraction: float | None, digits: int = 2) -> str:
    """0.9123 as "91.23 %"; None as a dash, NaN as "NaN"."""
    return _given(fraction, lambda value: f"{100 * value:.{digits}f} %")


def decimal(value: float | None, digits: int = 4) -> str:
    """A number with fixed digits; None as a dash, NaN as "NaN"."""
    return _given(value, lambda value: f"{value:.{digits}f}")


def compact(value: float | None) -> str:
    """A number in four significant digits; None as a dash, NaN as "NaN"."""
    return _given(value, lambda value: f"{value:.4g}")


def measured(value: Any, measure: Any) -> str:
    """A number of a Measure with its unit: "91.23 %" of a fraction, "31.4159 dB"; None as a dash, NaN as "NaN"."""
    if measure.unit == "points":
        return percent(value)
    words = compact(value) if measure.log else decimal(value)
    return f"{words} {measure.unit}" if measure.unit and value is not None else words


def whole(value: float | None) -> str:
    """A count with thin spaces between thousands; None as a dash, NaN as "NaN"."""
    return _given(value, lambda value: f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}"))


def duration(seconds: float | None) -> str:
    """Seconds as "4.2 s", "3 min 20 s" or "2 h 05 min"; None as a dash, NaN as "NaN"."""

    def words(value):
        if value < 59.95:
            return f"{value:.1f} s"
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"

    return _given(seconds, words)


def _given(value, words):
    if value is None:
        return "–"
    value = float(value)
    return words(value) if math.isfinite(value) else str(value).replace("nan", "NaN")


def amount(value: float | None, metric: Mapping[str, Any]) -> str:
    """A number of a metric without its unit: 61.25 of the fraction 0.6125; "n/a" of None."""
    if value is None:
        return "n/a"
    if metric["unit"] == "points":
        return f"{100 * value:.2f}"
    return f"{value:#.3g}" if abs(value) < 100 else whole(value)


def multiple(metric: Mapping[str, Any]) -> int:
    """By how much a number of a metric is multiplied before it is drawn."""
    return 100 if metric["unit"] == "points" else 1


def extent(interval: Sequence[float] | None, metric: Mapping[str, Any]) -> str:
    """ "0.22 to 1.00"; "n/a" of None."""
    return "n/a" if interval is None else " to ".join(amount(value, metric) for value in interval)


def probability(p: float | None) -> str:
    """A p: two digits, "< 0.0001" below that; "n/a" of None."""
    return "n/a" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def heading(metric: Mapping[str, Any]) -> str:
    """The title of a metric's column or axis: "test accuracy (%)"; "test loss (lower is better)"."""
    unit = "%" if metric["unit"] == "points" else metric["unit"]
    words = ", ".join(filter(None, (unit, "" if metric["higher_is_better"] else "lower is better")))
    label = metric["label"][:1].upper() + metric["label"][1:]
    return f"{label} ({words})" if words else label
