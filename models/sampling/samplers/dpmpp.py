"""DPM-Solver++ multistep and its SDE forms (Lu et al. 2022).

lambda is the logarithm of the square root of the signal-to-noise ratio; h its growth in a step.
"""
