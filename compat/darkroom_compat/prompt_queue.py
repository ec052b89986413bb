"""`PromptServer.instance.prompt_queue` as node packs know it: each call asks the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

QueueItem = tuple[Any, ...]  # number, prompt id, graph, extra data, ids of the outputs


class PromptQueue:
    """The server's queue. Items are tuples, so that packs may compare and unpack them."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def get_tasks_remaining(self) -> int:
        """How many prompts wait or run."""
        return int(self._ask("remaining"))

    def get_current_queue(self) -> tuple[list[QueueItem], list[QueueItem]]:
        """What runs, and what waits."""
        queue = self._ask("queue")
        running = [tuple(item) for item in queue["running"]]
        return running, [tuple(item) for item in queue["pending"]]

    def get_current_queue_volatile(self) -> tuple[list[QueueItem], list[QueueItem]]:
        """As `get_current_queue`."""
        return self.get_current_queue()

    @property
    def currently_running(self) -> dict[int, QueueItem]:
        """What runs, numbered."""
        return dict(enumerate(self.get_current_queue()[0]))

    @property
    def queue(self) -> list[QueueItem]:
        """What waits."""
        return self.get_current_queue()[1]

    @property
    def history(self) -> dict[str, Any]:
        """All prompts that have run."""
        return self.get_history()

    def get_history(
        self,
        prompt_id: str | None = None,
        max_items: int | None = None,
        offset: int = -1,
        map_function: Callable[[Any], Any] | None = None,
    ) -> dict[str, Any]:
        """Prompt id -> entry of the history: one, or `max_items` from `offset` on."""
        entries: dict[str, Any] = self._ask(
            "history", prompt_id=prompt_id, max_items=max_items, offset=offset
        )
        if map_function is None:
            return entries
        return {key: map_function(entry) for key, entry in entries.items()}

    def put(self, item: QueueItem) -> None:
        """Queue a prompt. The server checks it, as it does those of clients."""
        number, prompt_id, prompt, extra_data, outputs = item[:5]
        self._ask(
            "submit",
            number=number,
            prompt_id=prompt_id,
            prompt=prompt,
            extra_data=extra_data,
            partial_execution_targets=list(outputs),
        )

    def delete_queue_item(self, function: Callable[[QueueItem], bool]) -> bool:
        """Take the first waiting prompt out that the function chooses; whether there was one."""
        for item in self.queue:
            if function(item):
                return bool(self._ask("cancel", prompt_ids=[item[1]]))
        return False

    def wipe_queue(self) -> None:
        """Take all waiting prompts out."""
        self._ask("cancel", prompt_ids=None)

    def delete_history_item(self, id_to_delete: str) -> None:
        """Forget one prompt that has run."""
        self._ask("forget", prompt_ids=[id_to_delete])

    def wipe_history(self) -> None:
        """Forget all prompts that have run."""
        self._ask("forget", prompt_ids=None)

    def set_flag(self, name: str, data: Any) -> None:
        """`unload_models` and `free_memory`: give memory back after the prompt that runs."""
        if data and name in ("unload_models", "free_memory"):
            self._ask("free", unload_models=True, free_memory=name == "free_memory")
