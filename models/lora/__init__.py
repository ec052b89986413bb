"""LoRA and its relatives: reads their files and makes weight patches of them.

| file | what it does |
|---|---|
| `files.py` | a file's tensors, grouped by the layer that they are for |
| `names.py` | what files call the layers of a network |
| `deltas.py` | what is added to a weight, by kind of adapter |
| `rotations.py` | adapters that turn a weight instead |
| `patches.py` | changes of weights, as a network applies them |
| `apply.py` | from a file to handles with patches |
"""

from models.lora.apply import METADATA as METADATA
from models.lora.apply import apply_lora as apply_lora
from models.lora.apply import lora_patches as lora_patches
from models.lora.deltas import scaled_delta as scaled_delta
from models.lora.files import Lora as Lora
from models.lora.files import group_tensors as group_tensors
from models.lora.files import load_lora as load_lora
from models.lora.names import model_names as model_names
from models.lora.names import part_names as part_names
from models.lora.names import text_names as text_names
from models.lora.names import unet_names as unet_names
from models.lora.patches import BiasPatch as BiasPatch
from models.lora.patches import ColumnsPatch as ColumnsPatch
from models.lora.patches import DeltaPatch as DeltaPatch
from models.lora.patches import PartPatch as PartPatch
from models.lora.patches import RotationPatch as RotationPatch
from models.lora.patches import SetPatch as SetPatch
