"""Wrappers, callbacks and injections."""

from models.protocol.extension import *  # noqa: F403
from models.protocol.extension import CallbacksMP as CallbacksMP
from models.protocol.extension import PatcherInjection as PatcherInjection
from models.protocol.extension import WrapperExecutor as WrapperExecutor
from models.protocol.extension import WrappersMP as WrappersMP
