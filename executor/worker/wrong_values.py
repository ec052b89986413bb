"""Which arguments of a node that failed were not what its inputs take.

Links of the type `*` carry anything. No value is checked before a call, which may take more than
its inputs say; what an error of Python or torch says afterwards tells submitters little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from torch import Tensor

from executor.worker.calls import Arguments
from executor.worker.contract import NodeClass, get_input_info

# Of types of links: what a value is, and in words.
_VALUES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "IMAGE": (lambda value: isinstance(value, Tensor) and value.ndim == 4, "a tensor [B, H, W, C]"),
    "MASK": (lambda value: isinstance(value, Tensor) and value.ndim >= 2, "a tensor [B, H, W]"),
    "LATENT": (
        lambda value: isinstance(value, Mapping) and isinstance(value.get("samples"), Tensor),
        "an object with the tensor 'samples'",
    ),
    "AUDIO": (
        lambda value: isinstance(value, Mapping) and isinstance(value.get("waveform"), Tensor),
        "an object with the tensor 'waveform' and a 'sample_rate'",
    ),
    "CONDITIONING": (lambda value: isinstance(value, list | tuple), "a list"),
    "STRING": (lambda value: isinstance(value, str), "text"),
}
_NEVER_NOTHING: Final = "a value"  # of types that are not listed


def wrong_values(node_class: NodeClass, arguments: Arguments) -> list[str]:
    """A sentence for each argument that is none of the type of its input; says nothing of others.

    The class may be anybody's: what it says of its inputs may be of any form.
    """
    try:
        types = get_input_info(node_class)
        required, optional = (dict(types.get(kind) or {}) for kind in ("required", "optional"))
    except Exception:  # it is asked because it failed already
        return []
    found = []
    for name, spec in (required | optional).items():
        kind = spec[0] if isinstance(spec, tuple | list) and spec else None
        if not isinstance(kind, str) or kind == "*":
            continue
        fits, meaning = _VALUES.get(kind, (lambda value: value is not None, _NEVER_NOTHING))
        for value in arguments.get(name, ()):
            if not fits(value) and (value is not None or name in required):
                found.append(f"The input '{name}' takes {kind}, {meaning}: it was {_told(value)}.")
                break
    return found


def _told(value: Any) -> str:
    if value is None:
        return "nothing (None)"
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)}"
    return f"of the type {type(value).__name__}"
