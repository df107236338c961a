"""Errors that the user can fix: three parts, of which nothing is lost on the way from another process."""

from __future__ import annotations

import pickle

import pytest

from facefill.choices import pick
from facefill.errors import InputError, NotAPhoto, NothingCompleted, TooLarge


@pytest.mark.parametrize(
    "error",
    [
        InputError("a", "b", "c"),
        TooLarge("at most 3", "4", "shrink it"),
        NotAPhoto("a photo", "text", "convert it"),
        NothingCompleted("a face", "mark the hole", ("one: too small", "another: 70 % of it is missing")),
    ],
)
def test_an_error_comes_whole_from_another_process(error: InputError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.__dict__) == (str(error), error.__dict__)


def test_a_photo_of_which_nothing_was_completed_says_why_of_each_face() -> None:
    error = NothingCompleted("a face", "mark the hole", ("one: too small", "another: too large"))
    assert str(error) == "expected a face, got one: too small; another: too large: mark the hole"
    assert NothingCompleted("a face", "mark the hole", ()).got == "none"


def test_how_near_a_guess_must_be_is_the_callers_to_say() -> None:
    with pytest.raises(InputError, match="did you mean"):
        pick({".tif": 1}, ".gif", "suffix")
    with pytest.raises(InputError, match="choose one"):
        pick({".tif": 1}, ".gif", "suffix", nearness=0.8)
