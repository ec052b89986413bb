"""Names that some packs import although they are meant for the server alone."""

from __future__ import annotations

from comfy_api.latest._node import ComfyNode, NodeOutput

_ComfyNodeInternal = ComfyNode
_NodeOutputInternal = NodeOutput

__all__ = ["_ComfyNodeInternal", "_NodeOutputInternal"]
