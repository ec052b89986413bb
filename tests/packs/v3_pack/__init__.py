"""A pack of the V3 form: an extension that lists its nodes."""

from .extension import V3Extension


async def comfy_entrypoint() -> V3Extension:
    return V3Extension()
