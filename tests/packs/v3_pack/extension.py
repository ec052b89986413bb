from comfy_api.latest import ComfyAPI, ComfyExtension, io

from .flow import FLOW_NODES
from .groups import GROUP_NODES
from .pictures import PICTURE_NODES
from .values import VALUE_NODES

loaded = []


class V3Extension(ComfyExtension):
    async def on_load(self):
        loaded.append(True)
        await ComfyAPI().node_replacement.register(
            io.NodeReplace(
                new_node_id="V3Blend",
                old_node_id="V2Blend",
                input_mapping=[
                    {"new_id": "first", "old_id": "a"},
                    {"new_id": "second", "old_id": "b"},
                    {"new_id": "factor", "old_id": "amount"},
                    {"new_id": "mode", "set_value": "normal"},
                ],
            )
        )

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        assert loaded, "on_load comes first"
        return [*PICTURE_NODES, *FLOW_NODES, *GROUP_NODES, *VALUE_NODES]
