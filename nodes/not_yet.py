"""The error of host names that Darkroom knows and has no working part for."""

from __future__ import annotations

from typing import Any, NoReturn


class NotYetSupported(NotImplementedError):
    """A node pack used a host name that Darkroom knows and has no working part for."""

    def __init__(self, name: str, reason: str = "") -> None:
        super().__init__(f"Darkroom does not support {name} yet{': ' + reason if reason else ''}.")
        self.name = name


def missing_node(module: str, name: str, function: str | None = None) -> type[Any]:
    """A node class that is not there: packs can derive from it and make one; to use it raises."""
    full = f"{module}.{name}"

    def use(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotYetSupported(full)

    def find(self: Any, attribute: str) -> NoReturn:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise NotYetSupported(full)

    def describe(cls: type[Any]) -> NoReturn:
        raise NotYetSupported(full)

    body: dict[str, Any] = {
        "__module__": module,
        "__doc__": f"Not supported yet: {full}.",
        "__getattr__": find,  # methods whose names we do not know
        "RETURN_TYPES": (),
        "CATEGORY": "not supported yet",
        "INPUT_TYPES": classmethod(describe),
    }
    if function is not None:
        body |= {"FUNCTION": function, function: use}
    return type(name, (), body)
