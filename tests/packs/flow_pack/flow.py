import asyncio
import hashlib
import inspect
import os
import random


class AnyType(str):
    """A type that fits all others: packs compare types by text."""

    def __ne__(self, other):
        return False


any_type = AnyType("*")


class FlowPackRange:
    """One number as a list of that many."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 3, "min": 1, "max": 100})}}

    RETURN_TYPES = ("INT",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    def run(self, count):
        return (list(range(count)),)


class FlowPackSum:
    """All numbers of a list together."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"values": ("INT", {"forceInput": True})}}

    INPUT_IS_LIST = True
    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    def run(self, values):
        return (sum(values),)


class FlowPackAdd:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"a": ("INT", {"default": 0}), "b": ("INT", {"default": 0})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    def run(self, a, b):
        return (a + b,)


class FlowPackSwitch:
    """Only the side that is chosen is worked out."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"on": ("BOOLEAN", {"default": True})},
            "optional": {
                "if_on": (any_type, {"lazy": True}),
                "if_off": (any_type, {"lazy": True}),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, input_types):
        return True

    RETURN_TYPES = (any_type,)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    def check_lazy_status(self, on, if_on=None, if_off=None):
        if on and if_on is None:
            return ["if_on"]
        if not on and if_off is None:
            return ["if_off"]
        return []

    def run(self, on, if_on=None, if_off=None):
        return (if_on if on else if_off,)


class EveryInput:
    """Contains whatever is asked for, but lists nothing: no dict."""

    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return any_type, {"lazy": True}


class FlowPackSelect:
    """One of any number of inputs; the others are not evaluated.

    Looks who asks, so that the interface shows one input and the engine takes all for lazy.
    """

    @classmethod
    def INPUT_TYPES(cls):
        optional = {"input1": (any_type, {"lazy": True})}
        if inspect.stack()[2].function == "get_input_info":
            optional = EveryInput()
        return {"required": {"select": ("INT", {"default": 1, "min": 1})}, "optional": optional}

    RETURN_TYPES = (any_type,)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    def check_lazy_status(self, select, **kwargs):
        return [f"input{select}"]

    def run(self, select, **kwargs):
        return (kwargs[f"input{select}"],)


class HasAll(dict):
    """Contains whatever is asked for."""

    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return super().get(key, (None, {}))


class FlowPackWidgets:
    """Takes what widgets of its script put into the graph: nothing lists these."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "hidden": HasAll({"unique_id": "UNIQUE_ID"})}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    def run(self, unique_id, **kwargs):
        return (f"{unique_id}: {kwargs}",)


class FlowPackFail:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": "on purpose"})}}

    RETURN_TYPES = (any_type,)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    def run(self, text):
        raise RuntimeError(text)


class FlowPackSlow:
    """Waits without keeping others from working."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0}), "gate": ("STRING", {"default": ""})}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    async def run(self, value, gate):
        if gate:
            open(gate + f".{value}", "w").close()
            # Goes on once another one has begun as well.
            while not all(os.path.exists(f"{gate}.{other}") for other in (1, 2)):
                await asyncio.sleep(0.01)
        return (value,)


class FlowPackRepeat:
    """Adds `step` to `start`, `times` times: each time by adding a node and itself again."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "start": ("INT", {"default": 0, "forceInput": True}),
                "step": ("INT", {"default": 1}),
                "times": ("INT", {"default": 3, "min": 0, "max": 1000}),
            },
            "hidden": {"unique_id": "UNIQUE_ID", "dynprompt": "DYNPROMPT"},
        }

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    def run(self, start, step, times, unique_id=None, dynprompt=None):
        if times == 0:
            return (start,)
        assert dynprompt.get_node(unique_id)["class_type"] == "FlowPackRepeat"
        added = {
            f"{unique_id}.add": {"class_type": "FlowPackAdd", "inputs": {"a": start, "b": step}},
            f"{unique_id}.next": {
                "class_type": "FlowPackRepeat",
                "inputs": {"start": [f"{unique_id}.add", 0], "step": step, "times": times - 1},
            },
        }
        return {"result": ([f"{unique_id}.next", 0],), "expand": added}


class FlowPackFile:
    """The text of a file, read again when it has changed."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"path": ("STRING", {"default": ""})}}

    @classmethod
    def IS_CHANGED(cls, path):
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    @classmethod
    def VALIDATE_INPUTS(cls, path):
        return True if os.path.exists(path) else f"there is no file {path}"

    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    def run(self, path):
        with open(path) as f:
            return (f.read(),)


class FlowPackAlways:
    """Never the same again."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    @classmethod
    def IS_CHANGED(cls):
        return float("NaN")

    RETURN_TYPES = ("FLOAT",)
    FUNCTION = "run"
    CATEGORY = "flow pack"

    def run(self):
        return (random.random(),)


class FlowPackShow:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (any_type, {})}}

    INPUT_IS_LIST = True
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True
    CATEGORY = "flow pack"

    def run(self, value):
        return {"ui": {"values": value}}


NODE_CLASS_MAPPINGS = {
    cls.__name__: cls
    for cls in (
        FlowPackRange,
        FlowPackSum,
        FlowPackAdd,
        FlowPackSwitch,
        FlowPackSelect,
        FlowPackWidgets,
        FlowPackFail,
        FlowPackSlow,
        FlowPackRepeat,
        FlowPackFile,
        FlowPackAlways,
        FlowPackShow,
    )
}

NODE_DISPLAY_NAME_MAPPINGS = {name: name.replace("FlowPack", "Flow: ") for name in NODE_CLASS_MAPPINGS}
