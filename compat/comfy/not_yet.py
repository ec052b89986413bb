"""Names that packs import and Darkroom cannot fill yet: they import, and say so in use.

A pack often imports far more than it uses. Such a name must therefore not stop the import; the
error comes when somebody depends on what is absent, and names it.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from nodes.not_yet import NotYetSupported as NotYetSupported


def missing_class(name: str, base: type = object) -> Any:
    """A class of the full name `name`: isinstance() and subclassing work, making one raises.

    A subclass whose own __init__ does not call ours can be made: it needs nothing of us.
    """

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        raise NotYetSupported(name)

    module, _, short = name.rpartition(".")
    body = {"__init__": __init__, "__module__": module, "__doc__": f"Not supported yet: {name}."}
    # `type`, not a metaclass of ours: packs derive from these together with abc.ABC and the like.
    return type(short, (base,), body)


def missing_function(name: str) -> Callable[..., NoReturn]:
    """A function of the full name `name` whose call raises."""

    def missing(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotYetSupported(name)

    module, _, short = name.rpartition(".")
    missing.__module__, missing.__name__, missing.__qualname__ = module, short, short
    missing.__doc__ = f"Not supported yet: {name}."
    return missing


def absent(
    module: str,
    *,
    classes: str = "",
    layers: str = "",
    functions: str = "",
    base: type = object,
) -> Callable[[str], Any]:
    """The `__getattr__` of a module whose parts are absent; names are separated by spaces.

    `classes` derive from `base`; `layers` are classes of torch modules.
    """
    kinds: dict[str, Callable[[str], Any]] = dict.fromkeys(
        classes.split(), lambda name: missing_class(name, base)
    )
    kinds |= dict.fromkeys(layers.split(), _missing_layer)
    kinds |= dict.fromkeys(functions.split(), missing_function)
    made: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in kinds:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        if name not in made:  # one class for all who ask: isinstance() must work
            made[name] = kinds[name](f"{module}.{name}")
        return made[name]

    return get


def _missing_layer(name: str) -> Any:
    from torch import nn

    return missing_class(name, nn.Module)
