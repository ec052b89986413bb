"""The norm by the root of the mean square."""

from comfy.ldm.common_dit import rms_norm as rms_norm
from torch.nn import RMSNorm as RMSNorm
