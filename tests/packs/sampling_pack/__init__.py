import torch

import comfy.sample
import comfy.samplers
import comfy.sd
import comfy.model_sampling
import comfy.utils
import latent_preview
import nodes
from comfy.k_diffusion.sampling import to_d
from comfy.patcher_extension import WrappersMP


class GuideTwice:
    """Changes a model as most packs do."""

    @classmethod
    def INPUT_TYPES(s):
        return {"required": {"model": ("MODEL",), "factor": ("FLOAT", {"default": 1.0})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "sampling_pack"

    def patch(self, model, factor):
        def guide(args):
            cond, uncond = args["cond"], args["uncond"]
            return uncond + (cond - uncond) * args["cond_scale"] * factor

        m = model.clone()
        m.set_model_sampler_cfg_function(guide)
        return (m,)


class PackSampler:
    """Samples with everything of its own: sampler, guider, callback."""

    @classmethod
    def INPUT_TYPES(s):
        return {
            "required": {
                "model": ("MODEL",),
                "seed": ("INT", {"default": 0}),
                "steps": ("INT", {"default": 4}),
                "cfg": ("FLOAT", {"default": 4.0}),
                "scheduler": (comfy.samplers.KSampler.SCHEDULERS,),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "latent_image": ("LATENT",),
            }
        }

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "sample"
    CATEGORY = "sampling_pack"

    def sample(self, model, seed, steps, cfg, scheduler, positive, negative, latent_image):
        latent = latent_image["samples"]
        latent = comfy.sample.fix_empty_latent_channels(model, latent)
        noise = comfy.sample.prepare_noise(latent, seed, latent_image.get("batch_index"))

        def euler(model, x, sigmas, extra_args=None, callback=None, disable=None):
            s_in = x.new_ones([x.shape[0]])
            for i in range(len(sigmas) - 1):
                denoised = model(x, sigmas[i] * s_in, **extra_args)
                if callback is not None:
                    callback({"x": x, "i": i, "sigma": sigmas[i], "denoised": denoised})
                x = x + to_d(x, sigmas[i], denoised) * (sigmas[i + 1] - sigmas[i])
            return x

        class Guider(comfy.samplers.CFGGuider):
            def predict_noise(self, x, timestep, model_options={}, seed=None):
                return comfy.samplers.sampling_function(
                    self.inner_model,
                    x,
                    timestep,
                    self.conds.get("negative", None),
                    self.conds.get("positive", None),
                    self.cfg,
                    model_options=model_options,
                    seed=seed,
                )

        sampling = model.get_model_object("model_sampling")
        sigmas = comfy.samplers.calculate_sigmas(sampling, scheduler, steps)
        guider = Guider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(cfg)
        callback = latent_preview.prepare_callback(model, steps)
        samples = guider.sample(
            noise,
            latent,
            comfy.samplers.KSAMPLER(euler),
            sigmas,
            denoise_mask=latent_image.get("noise_mask"),
            callback=callback,
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=seed,
        )
        out = latent_image.copy()
        out["samples"] = samples
        return (out,)


class CallKSampler:
    """Asks our own node to sample a patched model."""

    @classmethod
    def INPUT_TYPES(s):
        return nodes.KSampler.INPUT_TYPES()

    RETURN_TYPES = ("LATENT", "STRING")
    FUNCTION = "sample"
    CATEGORY = "sampling_pack"
    OUTPUT_NODE = True

    def sample(self, model, **inputs):
        calls = []

        def wrapper(executor, *args, **kwargs):
            calls.append(type(executor.class_obj).__name__)
            return executor(*args, **kwargs)

        m = model.clone()
        m.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "sampling_pack", wrapper)
        (latent,) = nodes.KSampler().sample(m, **inputs)
        return {"ui": {"text": calls}, "result": (latent, calls[0])}


NODE_CLASS_MAPPINGS = {
    "GuideTwice": GuideTwice,
    "PackSampler": PackSampler,
    "CallKSampler": CallKSampler,
}
