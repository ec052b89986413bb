"""The description of a node class, and the values that are hidden from clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from comfy_api.latest._dynamic import check_inputs, check_unique
from comfy_api.latest._types import Input, Output, plain, sections


class Hidden(StrEnum):
    """What a node may ask for beside its inputs; read as `cls.hidden.unique_id`."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"
    comfy_usage_source = "COMFY_USAGE_SOURCE"
    execution_list = "EXECUTION_LIST"


class HiddenHolder:
    """The hidden values of one call; what was not asked for is None."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    @classmethod
    def from_dict(cls, values: Mapping[Any, Any] | None) -> HiddenHolder:
        """From values by name (`unique_id`) or by kind (`Hidden.unique_id`)."""
        return cls(**{_hidden_name(key): value for key, value in (values or {}).items()})


def _hidden_name(key: Any) -> str:
    return key.name if isinstance(key, Hidden) else str(key)


class PriceBadgeDepends:
    """What a price depends on."""

    def __init__(
        self,
        widgets: Sequence[str] = (),
        inputs: Sequence[str] = (),
        input_groups: Sequence[str] = (),
    ) -> None:
        self.widgets = list(widgets)
        self.inputs = list(inputs)
        self.input_groups = list(input_groups)

    def as_dict(self) -> dict[str, Any]:
        """As in GET /object_info."""
        return dict(vars(self))


class PriceBadge:
    """What a cloud node costs: an expression for the client."""

    def __init__(
        self, expr: str, depends_on: PriceBadgeDepends | None = None, engine: str = "jsonata"
    ) -> None:
        self.expr = expr
        self.depends_on = depends_on or PriceBadgeDepends()
        self.engine = engine

    def as_dict(self) -> dict[str, Any]:
        """As in GET /object_info."""
        return {"engine": self.engine, "depends_on": self.depends_on.as_dict(), "expr": self.expr}


# Arguments that later releases have: they are in GET /object_info only where they are set.
_LATER: Final = {
    "search_aliases": "search_aliases",
    "essentials_category": "essentials_category",
    "is_dev_only": "dev_only",
    "has_intermediate_output": "has_intermediate_output",
    "price_badge": "price_badge",
}


class Schema:
    """What `define_schema` gives. Arguments that are not known are passed on to clients."""

    def __init__(
        self,
        node_id: str,
        display_name: str | None = None,
        category: str = "sd",
        inputs: Sequence[Input] | None = None,
        outputs: Sequence[Output] | None = None,
        hidden: Sequence[Hidden] | None = None,
        description: str = "",
        is_input_list: bool = False,
        is_output_node: bool = False,
        is_deprecated: bool = False,
        is_experimental: bool = False,
        is_api_node: bool = False,
        not_idempotent: bool = False,
        enable_expand: bool = False,
        search_aliases: Sequence[str] | None = None,
        essentials_category: str | None = None,
        is_dev_only: bool = False,
        has_intermediate_output: bool = False,
        accept_all_inputs: bool = False,
        price_badge: PriceBadge | None = None,
        **unknown: Any,
    ) -> None:
        self.node_id = node_id
        self.display_name = display_name
        self.category = category
        self.inputs = list(inputs or ())
        self.outputs = list(outputs or ())
        self.hidden = list(hidden or ())
        self.description = description
        self.is_input_list = is_input_list
        self.is_output_node = is_output_node
        self.is_deprecated = is_deprecated
        self.is_experimental = is_experimental
        self.is_api_node = is_api_node
        self.not_idempotent = not_idempotent
        self.enable_expand = enable_expand
        self.search_aliases = search_aliases
        self.essentials_category = essentials_category
        self.is_dev_only = is_dev_only
        self.has_intermediate_output = has_intermediate_output
        self.accept_all_inputs = accept_all_inputs
        self.price_badge = price_badge
        self.unknown = unknown

    def validate(self) -> None:
        """Raise ValueError for a description that cannot work; the text names what is wrong."""
        if not isinstance(self.node_id, str) or not self.node_id:
            raise ValueError(f"the node_id of a schema must be a text, not {self.node_id!r}")
        where = f"the schema of '{self.node_id}'"
        check_inputs(self.inputs, where)
        for output in self.outputs:
            if not isinstance(output, Output):
                raise ValueError(
                    f"{where} declares {output!r} as an output; write e.g. io.Image.Output()"
                )
        check_unique(
            (output.id for output in self.outputs if output.id is not None),
            f"the outputs of '{self.node_id}'",
        )

    def finalize(self) -> None:
        """Add what follows from the rest: hidden inputs, ids of outputs."""
        needed = list(self.hidden)
        if self.is_output_node:
            needed += [Hidden.prompt, Hidden.extra_pnginfo]
        if self.is_api_node:
            needed += [Hidden.auth_token_comfy_org, Hidden.api_key_comfy_org]
        self.hidden = list(dict.fromkeys(needed))
        for index, output in enumerate(self.outputs):
            if output.id is None:
                output.id = f"_{index}_{output.get_io_type()}_"

    def input_types(self) -> dict[str, dict[str, Any]]:
        """The inputs in the form of INPUT_TYPES."""
        types = sections(self.inputs)
        if self.hidden:
            types["hidden"] = {kind.name: (kind.value,) for kind in self.hidden}
        return types

    def info(self) -> dict[str, Any]:
        """The entry in GET /object_info, apart from the module."""
        types = self.input_types()
        matches = [output.match_id for output in self.outputs]
        info = {
            "input": types,
            "input_order": {section: list(inputs) for section, inputs in types.items()},
            "output": [plain(output.get_io_type()) for output in self.outputs],
            "output_is_list": [bool(output.is_output_list) for output in self.outputs],
            "output_name": output_names(self.outputs),
            "output_tooltips": [output.tooltip for output in self.outputs],
            "output_matchtypes": matches if any(matches) else None,
            "name": self.node_id,
            "display_name": self.display_name,
            "description": self.description or "",
            "category": self.category,
            "output_node": self.is_output_node,
            "deprecated": self.is_deprecated,
            "experimental": self.is_experimental,
            "api_node": self.is_api_node,
        }
        for attribute, key in _LATER.items():
            if value := getattr(self, attribute):
                info[key] = plain(value)
        return plain(self.unknown) | info  # type: ignore[no-any-return]


def output_names(outputs: Sequence[Output]) -> list[Any]:
    """What clients call the outputs: display name or type."""
    return [output.display_name or plain(output.get_io_type()) for output in outputs]
