import os

import torch

import comfy.model_management as mm
import comfy.utils
import folder_paths
import latent_preview
import node_helpers
import nodes
from comfy.cli_args import args
from comfy_extras.nodes_mask import MaskComposite
from nodes import MAX_RESOLUTION, LoraLoader, SaveImage

# a kind of our own, one more folder for a known kind, and a suffix more for another
detectors = os.path.join(folder_paths.models_dir, "detectors")
os.makedirs(detectors, exist_ok=True)
folder_paths.folder_names_and_paths["detectors"] = ([detectors], {".onnx"})
folder_paths.add_model_folder_path("loras", os.path.join(folder_paths.base_path, "more_loras"))
folder_paths.folder_names_and_paths["unet"][1].add(".gguf")


class ChooseDetector:
    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {
                "detector": (["None"] + folder_paths.get_filename_list("detectors"),),
                "lora": (folder_paths.get_filename_list("loras"),),
            }
        }

    RETURN_TYPES = ("STRING",)
    FUNCTION = "choose"
    CATEGORY = "models_pack"
    OUTPUT_NODE = True

    def choose(self, detector, lora):
        path = folder_paths.get_full_path("detectors", detector)
        lora = folder_paths.get_full_path_or_raise("loras", lora)
        text = f"{path}|{lora}"
        return {"ui": {"text": [text]}, "result": (text,)}


class Lists:
    """Makes its lists itself, as many packs do."""

    @classmethod
    def INPUT_TYPES(s):
        input_dir = folder_paths.get_input_directory()
        files = [f for f in os.listdir(input_dir) if f.endswith(".txt")]
        return {
            "required": {
                "file": (sorted(files),),
                "detector": (["None", *folder_paths.get_filename_list("detectors")],),
            }
        }

    RETURN_TYPES = ()
    FUNCTION = "show"
    CATEGORY = "models_pack"
    OUTPUT_NODE = True

    def show(self, file, detector):
        path = folder_paths.get_annotated_filepath(file)
        with open(path) as f:
            return {"ui": {"text": [f.read(), detector]}}


class AddFolder:
    @classmethod
    def INPUT_TYPES(s):
        return {"required": {"folder": ("STRING", {"default": ""})}}

    RETURN_TYPES = ()
    FUNCTION = "add"
    CATEGORY = "models_pack"
    OUTPUT_NODE = True

    def add(self, folder):
        folder_paths.add_model_folder_path("detectors", folder, is_default=True)
        return {"ui": {"text": folder_paths.get_filename_list("detectors")}}


class Work:
    """Reports progress, saves with a class of the host, calls others."""

    @classmethod
    def INPUT_TYPES(s):
        return {"required": {"size": ("INT", {"default": 16, "min": 8, "max": MAX_RESOLUTION})}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "work"
    CATEGORY = "models_pack"
    OUTPUT_NODE = True

    def work(self, size):
        device = mm.get_torch_device()
        image = torch.rand(1, size, size, 3, device=device).to(mm.intermediate_device())
        pbar = comfy.utils.ProgressBar(3)
        for _ in range(3):
            mm.throw_exception_if_processing_interrupted()
            pbar.update(1)
        bigger = comfy.utils.common_upscale(image.movedim(-1, 1), size * 2, size, "bicubic", "center")
        inverted = nodes.ImageInvert().invert(bigger.movedim(1, -1))[0]
        saved = KeepImage().save_images(inverted, filename_prefix="models_pack/%width%")
        cond = node_helpers.conditioning_set_values([[image, {}]], {"x": 1})
        saved["ui"]["text"] = [str(args.cpu), str(cond[0][1]["x"]), "LoraLoader" if "LoraLoader" in nodes.NODE_CLASS_MAPPINGS else ""]
        return {**saved, "result": (inverted,)}


class KeepImage(SaveImage):
    def __init__(self):
        self.output_dir = folder_paths.get_output_directory()
        self.type = "output"
        self.prefix_append = "_kept"
        self.compress_level = 1


class StopMe:
    @classmethod
    def INPUT_TYPES(s):
        return {"required": {}}

    RETURN_TYPES = ()
    FUNCTION = "stop"
    CATEGORY = "models_pack"
    OUTPUT_NODE = True

    def stop(self):
        nodes.interrupt_processing()
        nodes.before_node_execution()
        return {"ui": {"text": ["went on"]}}


class UsesMissing(LoraLoader):
    @classmethod
    def INPUT_TYPES(s):
        return {"required": {"mask": ("STRING", {"default": ""})}}

    RETURN_TYPES = ("MASK",)
    FUNCTION = "use"
    CATEGORY = "models_pack"
    OUTPUT_NODE = True

    def use(self, mask):
        from comfy.utils import flux_to_diffusers

        return (flux_to_diffusers({}),)


NODE_CLASS_MAPPINGS = {
    "ChooseDetector": ChooseDetector,
    "Lists": Lists,
    "AddFolder": AddFolder,
    "Work": Work,
    "StopMe": StopMe,
    "UsesMissing": UsesMissing,
}
