"""A table of names says the same as a dict."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from facefill.batch.table import NameTable

NUMBERS = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), NUMBERS)), st.text(max_size=3))
def test_it_says_what_a_dict_says(rows: list[tuple[str, tuple[int, int]]], other: str) -> None:
    table, expected = NameTable(rows, 2), dict(rows)
    assert len(table) == len(expected)
    assert all(table.get(name) == numbers for name, numbers in expected.items())
    assert table.get(other) == expected.get(other)


def test_names_that_are_no_text_have_a_place_too() -> None:
    assert NameTable([("bad \udcff name", (7,))]).get("bad \udcff name") == (7,)
