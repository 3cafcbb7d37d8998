"""Model files, read with bounds on everything: they come from anybody, and what they say is believed only if it fits.

Nothing here runs what a file holds, and nothing but `ModelFileError` is raised.
"""

from rbee.contract.formats.folders import read_folder, weight_files
from rbee.contract.formats.gguf import read_gguf
from rbee.contract.formats.head import ModelHead
from rbee.contract.formats.models import read_model
from rbee.contract.formats.parts import models_among, parts_of
from rbee.contract.formats.pickles import refuse_pickle
from rbee.contract.formats.safetensors import read_safetensors

__all__ = [
    "ModelHead",
    "models_among",
    "parts_of",
    "read_folder",
    "read_gguf",
    "read_model",
    "read_safetensors",
    "refuse_pickle",
    "weight_files",
]
