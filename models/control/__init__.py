"""Control of a run by pictures: ControlNets, Control-LoRAs and T2I-Adapters."""
