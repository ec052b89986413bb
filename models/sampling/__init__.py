"""Schedules, samplers, noise and guidance: from a denoising model to a finished latent."""
