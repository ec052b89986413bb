"""The error of host names that Darkroom knows and has no working part for."""

from __future__ import annotations

from typing import Any, NoReturn

from nodes.declared import declared_attributes, declared_inputs, is_declared


class NotYetSupported(NotImplementedError):
    """A node pack used a host name that Darkroom knows and has no working part for."""

    def __init__(self, name: str, reason: str = "") -> None:
        super().__init__(f"Darkroom does not support {name} yet{': ' + reason if reason else ''}.")
        self.name = name


def missing_node(module: str, name: str, function: str | None = None) -> type[Any]:
    """A node class that is not there yet: packs can derive from it and make one.

    A core class declares what it will; to use anything else of it raises.
    """
    full = f"{module}.{name}"

    def use(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotYetSupported(full)

    def find(self: Any, attribute: str) -> NoReturn:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise NotYetSupported(full)

    has_declaration = module == "nodes" and is_declared(name)

    def describe(cls: type[Any]) -> dict[str, dict[str, Any]]:
        if has_declaration:
            return declared_inputs(name)
        raise NotYetSupported(full)

    body: dict[str, Any] = {
        "__module__": module,
        "__doc__": f"Not supported yet: {full}.",
        "__getattr__": find,  # methods whose names we do not know
        "RETURN_TYPES": (),
        "CATEGORY": "not supported yet",
        "INPUT_TYPES": classmethod(describe),
    }
    if has_declaration:
        body |= declared_attributes(name)
    if function is not None:
        body |= {"FUNCTION": function, function: use}
    return type(name, (), body)
