"""Training methods: a literal dict, no registry."""

from dacl.methods.base import Batch, Method, Terms
from dacl.methods.cps import Cps
from dacl.methods.dacl import Dacl
from dacl.methods.supervised import Supervised

METHODS: dict[str, type[Method]] = {"supervised": Supervised, "cps": Cps, "dacl": Dacl}

__all__ = ["METHODS", "Batch", "Method", "Terms"]
