"""What packs ask of the running server: progress, node replacements. Async, and the same sync."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from comfy_api.latest import _replacing
from comfy_api.latest._replacing import NodeReplace
from PIL import Image
from torch import Tensor

from nodes.context import PreviewSource, current_context
from nodes.saved_images import to_picture


class FullSize:
    """A preview that is not shrunk to the preview size."""

    full_size: ClassVar[bool] = True

    def __init__(self, source: Callable[[], Image.Image | None]) -> None:
        self._source = source

    def __call__(self) -> Image.Image | None:
        return self._source()


def set_progress(
    value: float,
    max_value: float,
    node_id: str | None = None,
    preview_image: Any = None,
    ignore_size_limit: bool = False,
) -> None:
    """Report progress of the running node, or of another node of its prompt."""
    try:
        context = current_context()
    except LookupError:
        raise RuntimeError("progress can only be reported while a node runs") from None
    preview = _preview(preview_image)
    if preview is not None and ignore_size_limit:
        preview = FullSize(preview)
    context.check_interrupted()
    context.reporter.report(node_id or context.node_id, value, max_value, preview)


def _preview(image: Any) -> PreviewSource | None:
    """A picture, or a tensor [B, H, W, C] of which the first is shown."""
    if image is None:
        return None
    if isinstance(image, Tensor):
        return lambda: to_picture(image[0] if image.ndim == 4 else image)
    return lambda: image


class _Execution:
    async def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: Any = None,
        ignore_size_limit: bool = False,
    ) -> None:
        """Report progress."""
        set_progress(value, max_value, node_id, preview_image, ignore_size_limit)


class _ExecutionSync:
    def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: Any = None,
        ignore_size_limit: bool = False,
    ) -> None:
        """Report progress."""
        set_progress(value, max_value, node_id, preview_image, ignore_size_limit)


class _NodeReplacement:
    async def register(self, node_replace: NodeReplace) -> None:
        """Announce a class that takes the place of an older one."""
        _replacing.register(node_replace)


class _NodeReplacementSync:
    def register(self, node_replace: NodeReplace) -> None:
        """Announce a class that takes the place of an older one."""
        _replacing.register(node_replace)


class CacheProvider:
    """A store for the outputs of nodes outside of the server's own cache."""

    async def on_lookup(self, context: Any) -> Any:
        """The stored value, or None."""
        return None

    async def on_store(self, context: Any, value: Any) -> None:
        """Store a value."""

    def should_cache(self, context: Any, value: Any = None) -> bool:
        """Whether a value is worth storing."""
        return True

    def on_prompt_start(self, prompt_id: str) -> None:
        """A prompt starts."""

    def on_prompt_end(self, prompt_id: str) -> None:
        """A prompt has ended."""


class Caching:
    """Names of the interface for cache providers."""

    CacheProvider = CacheProvider


class _Caching:
    def register_provider(self, provider: CacheProvider) -> None:
        """Not possible yet."""
        raise NotImplementedError(
            "ComfyAPI().caching.register_provider: Darkroom does not ask outside caches yet"
        )

    def unregister_provider(self, provider: CacheProvider) -> None:
        """Not possible yet."""
        raise NotImplementedError(
            "ComfyAPI().caching.unregister_provider: Darkroom does not ask outside caches yet"
        )


class ComfyAPI:
    """`api = ComfyAPI()`; `await api.execution.set_progress(1, 10)`."""

    VERSION: ClassVar[str] = "latest"
    STABLE: ClassVar[bool] = False

    def __init__(self) -> None:
        self.execution = _Execution()
        self.node_replacement = _NodeReplacement()
        self.caching = _Caching()


class ComfyAPISync:
    """The same, for nodes that are not async."""

    VERSION: ClassVar[str] = "latest"
    STABLE: ClassVar[bool] = False

    def __init__(self) -> None:
        self.execution = _ExecutionSync()
        self.node_replacement = _NodeReplacementSync()
        self.caching = _Caching()


class ComfyExtension:
    """What `comfy_entrypoint` of a pack returns."""

    async def on_load(self) -> None:
        """Called once, before the nodes are asked for."""

    async def get_node_list(self) -> list[Any]:
        """The node classes of the pack."""
        raise NotImplementedError(f"{type(self).__name__} has no get_node_list")
