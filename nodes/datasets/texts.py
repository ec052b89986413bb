"""Nodes that change texts of a dataset, each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from nodes.base import inputs
from nodes.datasets.base import DatasetNode

_LINE: Final = ("STRING", {"multiline": False})
_EMPTY: Final = ("STRING", {"default": "", "multiline": False})


class _TextNode(DatasetNode):
    CATEGORY = "dataset/text"
    REQUIRED = inputs(texts=_LINE)
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("texts",)
    LATER_NAMES: ClassVar[Mapping[str, str]] = {"text": "texts"}
    OUTPUT_IS_LIST: ClassVar[tuple[Any, ...]] = (None,)  # as the recorded server has it


class TextToLowercase(_TextNode):
    """Writes texts in small letters."""

    DISPLAY_NAME = "Text to Lowercase"

    def run(self, texts: str) -> tuple[str]:
        """All letters."""
        return (texts.lower(),)


class TextToUppercase(_TextNode):
    """Writes texts in capital letters."""

    DISPLAY_NAME = "Text to Uppercase"

    def run(self, texts: str) -> tuple[str]:
        """All letters."""
        return (texts.upper(),)


class TruncateText(_TextNode):
    """Cuts texts off."""

    DISPLAY_NAME = "Truncate Text"
    REQUIRED = inputs(texts=_LINE, max_length=("INT", {"default": 77, "min": 1, "max": 10000}))

    def run(self, texts: str, max_length: int) -> tuple[str]:
        """After that many characters."""
        return (texts[:max_length],)


class AddTextPrefix(_TextNode):
    """Puts a text before others."""

    DISPLAY_NAME = "Add Text Prefix"
    REQUIRED = inputs(texts=_LINE, prefix=_EMPTY)

    def run(self, texts: str, prefix: str) -> tuple[str]:
        """Nothing is between them."""
        return (prefix + texts,)


class AddTextSuffix(_TextNode):
    """Puts a text behind others."""

    DISPLAY_NAME = "Add Text Suffix"
    REQUIRED = inputs(texts=_LINE, suffix=_EMPTY)

    def run(self, texts: str, suffix: str) -> tuple[str]:
        """Nothing is between them."""
        return (texts + suffix,)


class ReplaceText(_TextNode):
    """Replaces a part of texts wherever it is."""

    DISPLAY_NAME = "Replace Text"
    REQUIRED = inputs(texts=_LINE, find=_EMPTY, replace=_EMPTY)

    def run(self, texts: str, find: str, replace: str) -> tuple[str]:
        """An empty `find` is found between all characters."""
        return (texts.replace(find, replace),)


class StripWhitespace(_TextNode):
    """Takes white space off the ends of texts."""

    DISPLAY_NAME = "Strip Whitespace"

    def run(self, texts: str) -> tuple[str]:
        """At both ends."""
        return (texts.strip(),)


class MergeTextLists(_TextNode):
    """Makes one list of all texts that are linked to it."""

    DISPLAY_NAME = "Merge Text Lists"
    INPUT_IS_LIST: ClassVar[bool] = True
    OUTPUT_IS_LIST: ClassVar[tuple[Any, ...]] = (True,)

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        """As recorded, where its output is not said to be a list."""
        return super().GET_NODE_INFO_V1() | {"output_is_list": [None]}

    def run(self, texts: list[str]) -> tuple[list[str]]:
        """The texts in their order."""
        return (texts,)
