import math

import pytest

from jaxcnn.visualize import page


def test_text_is_escaped_and_markup_is_not_escaped_twice(read):
    inner = page.element("p", "<script>alert(1)</script>", title='"><b>')
    tiles = [("<l>", "<v>", "<t>")]
    source = page.page("<title> & co", subtitle="<i>", sections=[("<h>", inner)], notices=["<n>"], tiles=tiles)
    read_page = read(source)
    for words in ("<title> & co", "<i>", "<h>", "<n>", "<l>", "<v>", "<t>", "<script>alert(1)</script>"):
        assert words in read_page.text
    assert ("p", "title", '"><b>') in read_page.attributes


def test_empty_sections_are_left_out_and_the_others_are_linked(read):
    parts = read(page.page("t", sections=[("one", "x"), ("two", None), ("three", ""), ("four", "y")]))
    targets = {value for _, name, value in parts.attributes if name == "href"}
    assert targets == {f"#{value}" for tag, name, value in parts.attributes if (tag, name) == ("section", "id")}
    assert len(targets) == 2 and "two" not in parts.text and "three" not in parts.text


def test_table_keeps_its_cells_and_refuses_a_ragged_row(read):
    table = page.table(("a", "b"), [(1, "<x>"), (None, 2.5)])
    assert read(table).tables == [[["a", "b"], ["1", "<x>"], ["–", "2.5"]]]
    with pytest.raises(ValueError):
        page.table(("a", "b"), [(1,)])


def test_config_is_flat():
    config = {"optimizer": {"name": "sgd", "rate": 0.1, "more": {"x": None}}, "sizes": (1, 2), "empty": {}, "yes": True}
    assert page.flatten(config) == [
        ("optimizer.name", "sgd"),
        ("optimizer.rate", "0.1"),
        ("optimizer.more.x", "null"),
        ("sizes", "[1, 2]"),
        ("empty", "{}"),
        ("yes", "true"),
    ]


def test_bar_is_as_long_as_its_fraction(read):
    def width(fraction):
        return next(value for _, name, value in read(page.bar("x", fraction, "")).attributes if name == "style")

    assert [width(f) for f in (0.25, 1.5, -1, math.nan)] == ["width:25.0%", "width:100.0%", "width:0.0%", "width:0.0%"]


def test_numbers_in_words():
    assert page.percent(0.91234) == "91.23 %" and page.percent(None) == "–" and page.percent(math.nan) == "NaN"
    assert page.decimal(math.inf) == "inf" and page.compact(0.000123456) == "0.0001235"
    assert page.whole(1234567).replace("\N{NARROW NO-BREAK SPACE}", "_") == "1_234_567"
    assert [page.duration(s) for s in (4.25, 59.96, 200, 7500)] == ["4.2 s", "1 min 00 s", "3 min 20 s", "2 h 05 min"]


def test_policy_forbids_the_network(read):
    policy = next(value for tag, name, value in read(page.page("t")).attributes if "default-src" in (value or ""))
    assert "default-src 'none'" in policy and "http" not in policy
