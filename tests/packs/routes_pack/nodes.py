import numpy as np
from PIL import Image
from server import BinaryEventTypes, PromptServer


class RoutesPackShout:
    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {"text": ("STRING", {"default": "hello", "multiline": True})},
            "optional": {"prefix": ("STRING", {"default": ""})},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("text",)
    FUNCTION = "shout"
    CATEGORY = "routes pack"
    DESCRIPTION = "Writes a text in capitals."

    def shout(self, text, prefix="", unique_id=None):
        loud = prefix + text.upper()
        server = PromptServer.instance
        server.send_sync("routes_pack.shouted", {"node": unique_id, "text": loud, "client": server.client_id})
        server.send_progress_text(loud, unique_id, server.client_id)
        return (loud,)


class RoutesPackShow:
    """An output node that tells its client in private what is going on."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"forceInput": True})}}

    RETURN_TYPES = ()
    FUNCTION = "show"
    OUTPUT_NODE = True
    CATEGORY = "routes pack"

    def show(self, text):
        server = PromptServer.instance
        running, pending = server.prompt_queue.get_current_queue()
        server.send_sync(
            "routes_pack.show",
            {
                "prompt": server.last_prompt_id,
                "node": server.last_node_id,
                "running": [item[1] for item in running],
                "remaining": server.prompt_queue.get_tasks_remaining(),
                "score": np.float32(0.5),
            },
            server.client_id,
        )
        picture = Image.new("RGB", (64, 32), (255, 0, 0))
        server.send_sync(
            BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, ("PNG", picture, 16), server.client_id
        )
        return {"ui": {"text": [text]}}


class KSampler:
    """A clash with a built-in node, which has to win."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    RETURN_TYPES = ("STRING",)
    FUNCTION = "run"

    def run(self):
        return ("not the real one",)


NODE_CLASS_MAPPINGS = {
    "RoutesPackShout": RoutesPackShout,
    "RoutesPackShow": RoutesPackShow,
    "KSampler": KSampler,
}

NODE_DISPLAY_NAME_MAPPINGS = {
    "RoutesPackShout": "Shout 📢",
    "KSampler": "A clash",
}
