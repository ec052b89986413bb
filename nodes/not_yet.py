"""The error of host names that Darkroom knows and has no working part for."""

from __future__ import annotations

from typing import Any, NoReturn


class NotYetSupported(NotImplementedError):
    """A node pack used a host name that Darkroom knows and has no working part for."""

    def __init__(self, name: str, reason: str = "") -> None:
        super().__init__(f"Darkroom does not support {name} yet{': ' + reason if reason else ''}.")
        self.name = name


def missing_node(module: str, name: str, function: str) -> type[Any]:
    """A node class that is not there yet: it can be derived from, and made; its method raises."""
    full = f"{module}.{name}"

    def use(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotYetSupported(full)

    def describe(cls: type[Any]) -> NoReturn:
        raise NotYetSupported(full)

    use.__name__ = function
    body = {
        "__module__": module,
        "__doc__": f"Not supported yet: {full}.",
        "FUNCTION": function,
        "RETURN_TYPES": (),
        "CATEGORY": "not supported yet",
        "INPUT_TYPES": classmethod(describe),
        function: use,
    }
    return type(name, (), body)
