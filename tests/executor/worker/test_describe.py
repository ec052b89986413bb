"""What classes written for later releases say of themselves reaches clients."""

from __future__ import annotations

from executor.worker.describe import describe
from tests.executor.worker.harness import Value


def test_what_later_classes_say_is_passed_on_where_it_is_said() -> None:
    class Later(Value):
        SEARCH_ALIASES = ("other",)
        ESSENTIALS_CATEGORY = "Basics"
        DEV_ONLY = True
        HAS_INTERMEDIATE_OUTPUT = True

    info = describe("Later", Later, "Later").info
    assert list(info["search_aliases"]) == ["other"]
    assert info["essentials_category"] == "Basics"
    assert info["dev_only"] is True
    assert info["has_intermediate_output"] is True
    assert "search_aliases" not in describe("Value", Value, "Value").info
