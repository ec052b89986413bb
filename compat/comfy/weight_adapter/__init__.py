"""Patches of weights as objects."""

from comfy.not_yet import absent

__getattr__ = absent(
    __name__,
    classes=(
        "WeightAdapterBase WeightAdapterTrainBase LoRAAdapter LoHaAdapter LoKrAdapter "
        "GLoRAAdapter OFTAdapter BOFTAdapter adapters adapter_maps"
    ),
)
