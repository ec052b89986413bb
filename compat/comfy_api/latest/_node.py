"""Node classes that describe themselves with a schema.

Such a class also has everything that the engine reads from older classes (INPUT_TYPES,
RETURN_TYPES, FUNCTION, ...), so that one engine runs both. What it has beside that is in capitals:
the engine knows the class by PREPARE_CLASS_CLONE and describes it by GET_NODE_INFO_V1.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from comfy_api.latest._dynamic import DynamicInput, collect_all
from comfy_api.latest._schema import HiddenHolder, Schema, output_names
from comfy_api.latest._types import plain

from nodes.blocker import ExecutionBlocker


class NodeOutput:
    """What `execute` returns: values, and what else happens."""

    def __init__(
        self,
        *args: Any,
        ui: Any = None,
        expand: dict[str, Any] | None = None,
        block_execution: str | None = None,
    ) -> None:
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        """The values; None if there are none."""
        return self.args or None

    @classmethod
    def from_dict(cls, returned: Mapping[str, Any]) -> NodeOutput:
        """From what an older node class returns."""
        values = returned.get("result", ())
        if isinstance(values, ExecutionBlocker):
            values = (values,)
        return cls(*values, ui=returned.get("ui"), expand=returned.get("expand"))

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class Returned(dict[Any, Any]):
    """A result in the form of older classes; packs that call nodes also index it by output."""

    def __getitem__(self, key: Any) -> Any:
        return (
            super().__getitem__("result")[key] if isinstance(key, int) else super().__getitem__(key)
        )


class _OfSchema:
    """A class attribute that the schema decides."""

    def __init__(self, read: Callable[[Schema], Any]) -> None:
        self._read = read

    def __get__(self, instance: object, owner: type[ComfyNode]) -> Any:
        return self._read(owner.GET_SCHEMA())


class _IfDefined:
    """A class attribute that is there if the class defines a method; it takes flat inputs."""

    def __init__(self, method: str) -> None:
        self._method = method

    def __get__(self, instance: object, owner: type[ComfyNode]) -> Any:
        method = getattr(owner, self._method, None)
        if method is None:
            raise AttributeError(f"{owner.__name__} has no {self._method}")
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def call_async(**flat: Any) -> Any:
                return await method(**owner._nested(flat, method))

            return call_async

        @functools.wraps(method)
        def call(**flat: Any) -> Any:
            return method(**owner._nested(flat, method))

        return call


class _Function:
    """The name of the method that the engine calls."""

    def __get__(self, instance: object, owner: type[ComfyNode]) -> str:
        is_async = inspect.iscoroutinefunction(owner.execute)
        return "EXECUTE_NORMALIZED_ASYNC" if is_async else "EXECUTE_NORMALIZED"


class ComfyNode:
    """One node class: `define_schema` and `execute`, both class methods.

    Methods run on a copy of the class on which nothing can be stored: results must depend on
    nothing but inputs.
    """

    SCHEMA: ClassVar[Schema | None] = None
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "nodes"
    hidden: ClassVar[HiddenHolder] = HiddenHolder()

    FUNCTION = _Function()
    CATEGORY = _OfSchema(lambda schema: schema.category)
    DESCRIPTION = _OfSchema(lambda schema: schema.description or "")
    RETURN_TYPES = _OfSchema(lambda schema: [plain(x.get_io_type()) for x in schema.outputs])
    RETURN_NAMES = _OfSchema(lambda schema: output_names(schema.outputs))
    OUTPUT_IS_LIST = _OfSchema(lambda schema: [bool(x.is_output_list) for x in schema.outputs])
    OUTPUT_TOOLTIPS = _OfSchema(lambda schema: [x.tooltip for x in schema.outputs])
    OUTPUT_NODE = _OfSchema(lambda schema: schema.is_output_node)
    INPUT_IS_LIST = _OfSchema(lambda schema: schema.is_input_list)
    NOT_IDEMPOTENT = _OfSchema(lambda schema: schema.not_idempotent)
    DEPRECATED = _OfSchema(lambda schema: schema.is_deprecated)
    EXPERIMENTAL = _OfSchema(lambda schema: schema.is_experimental)
    API_NODE = _OfSchema(lambda schema: schema.is_api_node)
    HAS_INTERMEDIATE_OUTPUT = _OfSchema(lambda schema: schema.has_intermediate_output)
    ACCEPT_ALL_INPUTS = _OfSchema(lambda schema: schema.accept_all_inputs)
    VALIDATE_INPUTS = _IfDefined("validate_inputs")
    IS_CHANGED = _IfDefined("fingerprint_inputs")
    CHECK_LAZY_STATUS = _IfDefined("check_lazy_status")

    @classmethod
    def define_schema(cls) -> Schema:
        """The description of the class."""
        raise NotImplementedError(f"{cls.__name__} has no define_schema")

    @classmethod
    def execute(cls, **kwargs: Any) -> Any:
        """The work: inputs as keyword arguments."""
        raise NotImplementedError(f"{cls.__name__} has no execute")

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        """The checked and completed schema, made once."""
        known = _real_class(cls).__dict__.get("SCHEMA")
        return known if known is not None else cls.FINALIZE_SCHEMA()

    @classmethod
    def FINALIZE_SCHEMA(cls) -> Schema:
        """The schema made anew: lists of files may have changed. Raises ValueError."""
        real = _real_class(cls)
        schema = real.define_schema()
        if not isinstance(schema, Schema):
            raise ValueError(f"define_schema of {real.__name__} returned {schema!r}, no io.Schema")
        schema.validate()
        schema.finalize()
        real.SCHEMA = schema
        return schema

    VALIDATE_CLASS = FINALIZE_SCHEMA

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, Any]]:
        """The inputs as older classes give them."""
        return cls.FINALIZE_SCHEMA().input_types()

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        """The entry in GET /object_info."""
        info = cls.FINALIZE_SCHEMA().info()
        return info | {"python_module": cls.RELATIVE_PYTHON_MODULE}

    @classmethod
    def PREPARE_CLASS_CLONE(cls, hidden: Mapping[Any, Any] | None = None) -> type[ComfyNode]:
        """The class as methods see it: with hidden values, and locked."""
        real = _real_class(cls)
        kind: type = type(real)
        attributes = {
            "hidden": HiddenHolder.from_dict(hidden),
            "_real": real,
            "__module__": real.__module__,
            "__qualname__": real.__qualname__,
        }
        copy: type[ComfyNode] = _locked(kind)(real.__name__, (real,), attributes)
        return copy

    @classmethod
    def EXECUTE_NORMALIZED(cls, **flat: Any) -> Returned:
        """Call `execute`; gives a result in the form of older classes."""
        return cls._as_v1(cls.execute(**cls._nested(flat, cls.execute)))

    @classmethod
    async def EXECUTE_NORMALIZED_ASYNC(cls, **flat: Any) -> Returned:
        """Await `execute`; gives a result in the form of older classes."""
        return cls._as_v1(await cls.execute(**cls._nested(flat, cls.execute)))

    @classmethod
    def _nested(cls, flat: Mapping[str, Any], method: Any) -> dict[str, Any]:
        """The arguments of a method: dynamic inputs nested, declared ones as they are.

        What is not declared comes from links only (or `accept_all_inputs`), and is left out where
        the method cannot take it.
        """
        schema = cls.GET_SCHEMA()
        arguments = collect_all(schema.inputs, flat)
        groups = tuple(f"{x.id}." for x in schema.inputs if isinstance(x, DynamicInput))
        declared = {declared.id for declared in schema.inputs}
        parameters = inspect.signature(method).parameters.values()
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        taken = {p.name for p in parameters}
        if not takes_all:  # a check may leave out a group, which is there even without members
            arguments = {k: v for k, v in arguments.items() if k in taken or k in flat}
        for name, value in flat.items():
            if name in declared or name.startswith(groups):
                continue
            if takes_all or name in taken:
                arguments[name] = value
        return arguments

    @classmethod
    def _as_v1(cls, returned: Any) -> Returned:
        schema = cls.GET_SCHEMA()
        if returned is None:
            output = NodeOutput()
        elif isinstance(returned, NodeOutput):
            output = returned
        elif isinstance(returned, ExecutionBlocker):
            return Returned(result=returned)
        elif isinstance(returned, Mapping):
            return _checked(schema, Returned(returned))
        elif isinstance(returned, tuple):
            output = NodeOutput(*returned)
        else:
            raise TypeError(
                f"execute of {schema.node_id} returned {type(returned).__name__}; "
                "return io.NodeOutput(...), a tuple, a dict or None"
            )
        result = Returned(result=output.args)
        if output.block_execution is not None:
            result["result"] = ExecutionBlocker(output.block_execution)
        if output.ui is not None:
            result["ui"] = output.ui if isinstance(output.ui, Mapping) else output.ui.as_dict()
        if output.expand is not None:
            result["expand"] = output.expand
        return _checked(schema, result)


def _checked(schema: Schema, result: Returned) -> Returned:
    if result.get("expand") is not None and not schema.enable_expand:
        raise ValueError(
            f"{schema.node_id} returned nodes to expand into; its schema needs enable_expand=True"
        )
    return result


def _real_class(cls: type[ComfyNode]) -> type[ComfyNode]:
    """The class that a locked copy was made of."""
    real: type[ComfyNode] = cls.__dict__.get("_real", cls)
    return real


@functools.cache
def _locked(kind: Any) -> Any:
    """A class of classes on which nothing can be set."""

    def refuse(cls: type, name: str, *value: Any) -> None:
        if name.startswith(("__", "_abc_")) and value:  # what other bases set for themselves
            kind.__setattr__(cls, name, *value)
            return
        raise AttributeError(
            f"'{name}' cannot be stored on node class {cls.__name__}: nodes keep no state"
        )

    return type(f"Locked{kind.__name__}", (kind,), {"__setattr__": refuse, "__delattr__": refuse})


ComfyNodeV3 = _ComfyNodeInternal = ComfyNode
