import importlib
import json
import os
import time

here = os.path.dirname(__file__)


def find(path):
    """Import as much of a dotted path as is a module, then take attributes."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        try:
            value = importlib.import_module(name)
        except ModuleNotFoundError as e:
            if e.name is None or not (name == e.name or name.startswith(e.name + ".")):
                raise
            continue
        for part in parts[end:]:
            value = getattr(value, part)
        return value
    raise ModuleNotFoundError(path)


with open(os.path.join(here, "host_imports.json")) as f:
    wanted = json.load(f)

began = time.perf_counter()
errors = {}
for path in [m["module"] for m in wanted["modules"]] + [p["module"] + "." + p["name"] for p in wanted["pairs"]]:
    try:
        find(path)
    except Exception as e:
        errors[path] = f"{type(e).__name__}: {e}"
seconds = time.perf_counter() - began


class ReportImports:
    @classmethod
    def INPUT_TYPES(s):
        return {"required": {}}

    RETURN_TYPES = ()
    FUNCTION = "report"
    OUTPUT_NODE = True

    def report(self):
        return {"ui": {"text": [json.dumps({"errors": errors, "seconds": seconds})]}}


NODE_CLASS_MAPPINGS = {"ReportImports": ReportImports}
