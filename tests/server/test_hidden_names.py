"""Names of others' uploads in errors."""

from __future__ import annotations

from server.hidden_names import without_names


def test_hidden_names_are_taken_out_of_lists_and_of_texts_that_show_them() -> None:
    hidden = {"her's.png", "set", "z.png"}
    choices = ["a.png", "her's.png", "set", "z.png"]
    errors = {
        "details": f"image: 'x' not in {choices}",
        "extra_info": {"input_config": [["a.png", "z.png"], {"options": ["set"]}], "number": 1},
    }
    assert without_names(errors, hidden) == {
        "details": "image: 'x' not in ['a.png']",
        "extra_info": {"input_config": [["a.png"], {"options": []}], "number": 1},
    }


def test_texts_that_show_no_list_stay() -> None:
    assert without_names("'set' is wrong", {"set"}) == "'set' is wrong"
    assert without_names(["set"], ()) == ["set"]
