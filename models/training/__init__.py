"""Trains adapters of a diffusion model, such as LoRA.

| file | what it does |
|---|---|
| `new_parts.py` | what an adapter of each kind begins as |
| `adapters.py` | what a layer computes with an adapter that is being trained |
| `layers.py` | the layers of a network that adapters go to, and what files call them |
| `examples.py` | latents and prompts to learn from, and the order in which they come |
| `run.py` | the training |
"""

from models.training.examples import Example as Example
from models.training.examples import examples_of as examples_of
from models.training.run import Course as Course
from models.training.run import TrainedAdapter as TrainedAdapter
from models.training.run import train as train
