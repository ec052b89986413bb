"""The class of a patcher, when a pack puts another in its place.

A pack that has a ModelPatcher of its own makes patchers of others into such: it assigns to
``__class__``. A handle of ours keeps its state in another way than a plain patcher does, so it gets
a class that is both.
"""

from __future__ import annotations

_OWN_PACKAGE = __name__.partition(".")[0]
_joined_classes: dict[tuple[type, type], type] = {}


def class_with(present: type, wanted: type, base: type) -> type:
    """The class to have in place of `present`, both derived from `base`, if `wanted` is asked for.

    TypeError if `wanted` is no class of that base.
    """
    if not issubclass(wanted, base):
        raise TypeError(f"{wanted.__name__} is no {base.__name__}")
    if issubclass(present, wanted) and not issubclass(wanted, _own(present)):
        return present
    return _joined(wanted, _own(present))


def _own(present: type) -> type:
    """The nearest class of ours, which knows how the state is kept."""
    return next(
        one for one in present.__mro__
        if one.__module__.partition(".")[0] == _OWN_PACKAGE
    )  # fmt: skip


def _joined(wanted: type, own: type) -> type:
    if issubclass(wanted, own):
        return wanted
    key = (wanted, own)
    if key not in _joined_classes:
        body = {"__module__": wanted.__module__}
        _joined_classes[key] = type(wanted.__name__, (wanted, own), body)
    return _joined_classes[key]
