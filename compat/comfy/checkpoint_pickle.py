"""ComfyUI's `comfy.checkpoint_pickle`: a pickle module for `torch.load` that runs no code.

It refuses every class but those of tensors. Use `comfy.utils.load_torch_file`.
"""

from __future__ import annotations

import pickle
from typing import Any

_TENSORS = frozenset(
    {
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        *(
            ("torch", f"{kind}Storage")
            for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Byte", "Bool")
        ),
    }
)


class Empty:
    """Stands for objects of classes that are not loaded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass


class Unpickler(pickle.Unpickler):
    """Gives tensors; other classes come out as `Empty`."""

    def find_class(self, module: str, name: str) -> Any:
        """The class, if it is one of tensors'."""
        return super().find_class(module, name) if (module, name) in _TENSORS else Empty


def load(file: Any, **options: Any) -> Any:
    """As `pickle.load`, without its dangers."""
    return Unpickler(file, **options).load()
