"""ComfyUI's `execution`. Prompts are checked by the server and run by the worker's own engine.

What packs patch or call of ComfyUI's engine is here by name, and says in use that it is not it.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from darkroom_compat.not_yet_names import missing_names
from darkroom_compat.prompt_queue import PromptQueue as PromptQueue

from nodes.not_yet import NotYetSupported

# Keys of `extra_data` that are not kept with a prompt.
SENSITIVE_EXTRA_DATA_KEYS: Final = ("auth_token_comfy_org", "api_key_comfy_org")

_ENGINE: Final = "Darkroom runs prompts with an engine of its own"


def full_type_name(klass: type[Any]) -> str:
    """The name of a class with its module, without that of built-in ones."""
    if klass.__module__ == "builtins":
        return klass.__qualname__
    return f"{klass.__module__}.{klass.__qualname__}"


class ExecutionResult:
    """How a node ended."""

    SUCCESS = 0
    FAILURE = 1
    PENDING = 2


class DuplicateNodeError(Exception):
    """Two nodes of an expansion have one id."""


class CacheType:
    """Which results of nodes are kept."""

    CLASSIC = 0
    LRU = 1
    NONE = 2
    RAM_PRESSURE = 3


class PromptExecutor:
    """Packs put functions around its methods; those are not called here."""

    def __init__(self, server: Any = None, **options: Any) -> None:
        self.server = server
        self.success = True

    def execute(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Prompts are queued with POST /prompt."""
        raise NotYetSupported("execution.PromptExecutor.execute", _ENGINE)

    async def execute_async(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Prompts are queued with POST /prompt."""
        raise NotYetSupported("execution.PromptExecutor.execute_async", _ENGINE)

    def reset(self) -> NoReturn:
        """Results are forgotten with POST /free."""
        raise NotYetSupported("execution.PromptExecutor.reset", _ENGINE)

    def add_message(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Messages are sent with PromptServer.instance.send_sync."""
        raise NotYetSupported("execution.PromptExecutor.add_message", _ENGINE)


async def validate_prompt(*args: Any, **kwargs: Any) -> NoReturn:
    """The server checks prompts before a worker sees them."""
    raise NotYetSupported("execution.validate_prompt", "the server checks prompts")


__getattr__ = missing_names(
    __name__,
    classes=("CacheSet", "IsChangedCache"),
    functions=(
        "execute",
        "format_value",
        "get_input_data",
        "get_output_data",
        "get_output_from_returns",
        "map_node_over_list",
        "merge_result_data",
        "recursive_execute",
        "resolve_map_node_over_list_results",
        "validate_inputs",
    ),
)
