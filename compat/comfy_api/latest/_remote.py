"""Choices that clients fetch."""

from __future__ import annotations

from typing import Any

from comfy_api.latest._types import plain


class _Plain:
    """A description that clients get as an object; what was not set is left out."""

    def __init__(self, **settings: Any) -> None:
        self.__dict__.update(settings)

    def as_dict(self) -> dict[str, Any]:
        """What was set."""
        return {key: plain(value) for key, value in vars(self).items() if value is not None}


class RemoteOptions(_Plain):
    """Choices that the client fetches from a route."""

    def __init__(
        self,
        route: str,
        refresh_button: bool,
        control_after_refresh: str = "first",
        timeout: int | None = None,
        max_retries: int | None = None,
        refresh: int | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(
            route=route,
            refresh_button=refresh_button,
            control_after_refresh=control_after_refresh,
            timeout=timeout,
            max_retries=max_retries,
            refresh=refresh,
            **unknown,
        )


class RemoteItemSchema(_Plain):
    """How the client reads the items that it fetches."""

    def __init__(self, value_field: str, label_field: str, **more: Any) -> None:
        super().__init__(value_field=value_field, label_field=label_field, **more)


class RemoteComboOptions(_Plain):
    """Choices that the client fetches and reads by a schema; the server does not check them."""

    def __init__(self, route: str, item_schema: RemoteItemSchema, **more: Any) -> None:
        super().__init__(route=route, item_schema=item_schema, **more)
