"""What the engine needs to know of a node class, read from it once.

A class of the V3 API (`compat/comfy_api`) has all that a V1 class has. It is known by
PREPARE_CLASS_CLONE: its methods are called on a copy of the class that holds the hidden inputs.
What has a schema, and may have dynamic inputs, is known by GET_NODE_INFO_V1 (`nodes/schema.py`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from executor.rules import InputRule, expand_rules, input_rules
from executor.worker.plain_info import has_every_key

NodeClass: TypeAlias = type[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contract:
    """One node class as the engine sees it."""

    name: str
    node_class: NodeClass
    function: str  # name of the method to call
    visible: frozenset[str]  # names of required and optional inputs
    hidden: Mapping[str, str]  # argument -> hidden kind, such as "PROMPT"
    hidden_values: frozenset[str]  # hidden arguments that graphs themselves may supply
    lazy: frozenset[str]  # inputs that are evaluated only when asked for
    raw_links: frozenset[str]  # inputs that get the link, not its value
    output_count: int
    output_is_list: tuple[bool, ...]
    input_is_list: bool
    is_output: bool
    is_async: bool
    lazy_function: str | None  # name of the method that asks for lazy inputs, if there is one
    is_changed: Any | None  # the bound IS_CHANGED, if the class has one
    key_has_id: bool  # equal nodes must not share results
    is_v3: bool = False
    in_background: bool = False  # it writes files: the nodes after it need not wait
    shows_when_cached: bool = False  # what it shows is shown again although it did not run
    dynamic: tuple[InputRule, ...] | None = None  # all inputs, if some bring others along
    takes_undeclared: bool = False  # undeclared literals are passed as well
    parameters: frozenset[str] | None = None  # all that is passed; None: undeclared links too

    def takes(self, name: str) -> bool:
        """Whether a literal of that name is passed to the method."""
        return self.takes_undeclared or name in self.visible or name in self.hidden_values

    def takes_link(self, name: str) -> bool:
        """Whether the value of a link of that name is passed to the method."""
        return self.parameters is None or name in self.parameters

    @property
    def runs_early(self) -> bool:
        """Whether it goes before other ready nodes."""
        return self.is_output or self.is_async

    def for_inputs(self, given: Mapping[str, Any]) -> Contract:
        """The contract of one node: with the parts of dynamic inputs that it has."""
        if self.dynamic is None:
            return self._with_undeclared(given)
        rules = expand_rules(self.dynamic, given)
        return replace(
            self,
            visible=frozenset(rule.name for rule in rules),
            lazy=self.lazy | {rule.name for rule in rules if rule.options.get("lazy")},
            raw_links=self.raw_links | {rule.name for rule in rules if rule.options.get("rawLink")},
        )

    def _with_undeclared(self, given: Mapping[str, Any]) -> Contract:
        """With what the class says of inputs that it does not list, if there are any."""
        unlisted = given.keys() - self.visible - self.hidden.keys() - self.hidden_values
        if self.is_v3 or not unlisted:
            return self
        types = get_input_info(self.node_class)
        specs = {name: _spec(types, name) for name in unlisted}
        lazy = {name for name, spec in specs.items() if _option(spec, "lazy")}
        raw_links = {name for name, spec in specs.items() if _option(spec, "rawLink")}
        if not lazy and not raw_links:
            return self
        return replace(self, lazy=self.lazy | lazy, raw_links=self.raw_links | raw_links)

    def callee(self, node: Any, hidden: Callable[[], Mapping[str, Any]]) -> Any:
        """What the methods of a node are looked up on: the object, or a copy of a V3 class."""
        return self.node_class.PREPARE_CLASS_CLONE(hidden()) if self.is_v3 else node


def read_contract(name: str, node_class: NodeClass) -> Contract:
    """Read a class; raises whatever its INPUT_TYPES raises."""
    types = node_class.INPUT_TYPES()
    visible = {**types.get("required", {}), **types.get("optional", {})}
    hidden = types.get("hidden", {})
    is_v3 = is_v3_class(node_class)
    if is_v3:
        hidden = {key: kind[0] for key, kind in hidden.items()}
    returns = getattr(node_class, "RETURN_TYPES", ())
    return Contract(
        name=name,
        node_class=node_class,
        function=node_class.FUNCTION,
        visible=frozenset(visible),
        hidden={key: kind for key, kind in hidden.items() if isinstance(kind, str)},
        hidden_values=frozenset(k for k, kind in hidden.items() if not isinstance(kind, str)),
        lazy=frozenset(key for key, spec in visible.items() if _option(spec, "lazy")),
        raw_links=frozenset(key for key, spec in visible.items() if _option(spec, "rawLink")),
        output_count=len(returns),
        output_is_list=tuple(bool(x) for x in getattr(node_class, "OUTPUT_IS_LIST", ()) or ()),
        input_is_list=bool(getattr(node_class, "INPUT_IS_LIST", False)),
        is_output=getattr(node_class, "OUTPUT_NODE", False) is True,
        is_async=inspect.iscoroutinefunction(getattr(node_class, node_class.FUNCTION, None)),
        lazy_function=_lazy_function(node_class, is_v3=is_v3),
        is_changed=getattr(node_class, "IS_CHANGED", None),
        key_has_id=getattr(node_class, "NOT_IDEMPOTENT", False) is True
        or "UNIQUE_ID" in hidden.values(),
        is_v3=is_v3,
        in_background=_in_background(node_class),
        shows_when_cached=bool(getattr(node_class, "HAS_INTERMEDIATE_OUTPUT", False)),
        dynamic=_dynamic(types) if has_schema(node_class) else None,
        parameters=_parameters(node_class),
        takes_undeclared=bool(getattr(node_class, "ACCEPT_ALL_INPUTS", False))
        or any(has_every_key(types.get(x)) for x in ("required", "optional", "hidden")),
    )


def get_input_info(node_class: NodeClass, *, again: bool = True) -> Any:
    """The INPUT_TYPES of a class that is asked about an input it need not have listed.

    Packs look who asks, up to two calls up the stack, and by this name: then they answer with
    sections that contain every input, and say that it is lazy.
    """
    return get_input_info(node_class, again=False) if again else node_class.INPUT_TYPES()


def _spec(types: Any, name: str) -> Any:
    """What sections, of which it is only known that they can be asked, say of an input."""
    for section in ("required", "optional"):
        if section in types and name in types[section]:
            return types[section][name]
    return ()


def is_v3_class(node_class: NodeClass) -> bool:
    """Whether a class describes itself with a schema."""
    return isinstance(node_class, type) and hasattr(node_class, "PREPARE_CLASS_CLONE")


def takes_old_prompts(node_class: NodeClass) -> bool:
    """Whether a class puts up with what prompts of other releases lack or have too much."""
    return getattr(node_class, "TAKES_OLD_PROMPTS", False) is True


def later_names(node_class: NodeClass) -> dict[str, str]:
    """What other releases call inputs of a class that takes their prompts -> what it does."""
    return dict(node_class.LATER_NAMES) if takes_old_prompts(node_class) else {}


def _parameters(node_class: NodeClass) -> frozenset[str] | None:
    """The names that the method of a class that takes old prompts can be called with."""
    if not takes_old_prompts(node_class):
        return None
    parameters = inspect.signature(getattr(node_class, node_class.FUNCTION)).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return frozenset(parameters)


def has_schema(node_class: NodeClass) -> bool:
    """Whether a class gives its entry in GET /object_info itself, as those of the V3 API do."""
    return isinstance(node_class, type) and hasattr(node_class, "GET_NODE_INFO_V1")


def _in_background(node_class: NodeClass) -> bool:
    """Whether a class may run beside others; not where a pack has put a method of its own."""
    if not getattr(node_class, "IN_BACKGROUND", False):
        return False
    method = getattr(node_class, node_class.FUNCTION, None)
    return method in (node_class.run, getattr(node_class, "run_flat", None))


def _lazy_function(node_class: NodeClass, *, is_v3: bool) -> str | None:
    name = "CHECK_LAZY_STATUS" if is_v3 else "check_lazy_status"
    return name if hasattr(node_class, name) else None


def _dynamic(types: Mapping[str, Any]) -> tuple[InputRule, ...] | None:
    rules = input_rules(types)
    return rules if any(rule.is_dynamic for rule in rules) else None


def _option(spec: Any, key: str) -> bool:
    return len(spec) > 1 and isinstance(spec[1], Mapping) and bool(spec[1].get(key))


class Contracts:
    """The contracts of all loaded classes.

    Classes of third parties are read anew for every prompt: their INPUT_TYPES may depend on files.
    """

    def __init__(self, classes: Mapping[str, NodeClass], *, fixed: frozenset[str]) -> None:
        self._classes = classes
        self._fixed = fixed  # names of classes whose inputs never change
        self._known: dict[str, Contract] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def __getitem__(self, name: str) -> Contract:
        contract = self._known.get(name)
        if contract is None:
            contract = self._known[name] = read_contract(name, self._classes[name])
        return contract

    def read(self, name: str) -> Contract | None:
        """The contract of a class, if it has been read; some classes cannot be."""
        return self._known.get(name)

    def renew(self) -> None:
        """Forget what may have changed since the last prompt."""
        for name in self._known.keys() - self._fixed:
            del self._known[name]
