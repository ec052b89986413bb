"""Choices among files that remember what they list, so that the server can list it anew."""

from __future__ import annotations

from collections.abc import Iterable


class FileChoices(list[str]):
    """A list of file names that knows its source: a model folder kind, or `input_images`.

    `["none"] + choices` and `choices + [...]` remember it too. Whoever changes the names themselves
    is left with an ordinary list of choices: `own_choices` is None then.
    """

    def __init__(
        self,
        source: str,
        files: Iterable[str],
        before: Iterable[str] = (),
        after: Iterable[str] = (),
    ) -> None:
        self.source = source
        self.files = tuple(files)
        own = list(before)
        self._place = len(own)  # of the files in the list
        super().__init__((*own, *self.files, *after))

    def own_choices(self) -> tuple[list[str], list[str]] | None:
        """The choices before and after the files; None if these were taken apart."""
        count = len(self.files)
        for start in (self._place, *range(len(self) - count + 1)):
            if tuple(self[start : start + count]) == self.files:
                return self[:start], self[start + count :]
        return None

    def _extended(self, before: list[str], after: list[str]) -> list[str]:
        own = self.own_choices()
        if own is None or isinstance(before, FileChoices) or isinstance(after, FileChoices):
            return [*before, *self, *after]
        return FileChoices(self.source, self.files, [*before, *own[0]], [*own[1], *after])

    def __add__(self, other: list[str]) -> list[str]:  # type: ignore[override]
        return self._extended([], other) if isinstance(other, list) else NotImplemented

    def __radd__(self, other: list[str]) -> list[str]:
        return self._extended(other, []) if isinstance(other, list) else NotImplemented

    def copy(self) -> list[str]:
        """A copy that remembers the source."""
        return self._extended([], [])
