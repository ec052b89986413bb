"""Inputs of denoisers."""

from models.protocol.conds import CONDConstant as CONDConstant
from models.protocol.conds import CONDCrossAttn as CONDCrossAttn
from models.protocol.conds import CONDList as CONDList
from models.protocol.conds import CONDNoiseShape as CONDNoiseShape
from models.protocol.conds import CONDRegular as CONDRegular
