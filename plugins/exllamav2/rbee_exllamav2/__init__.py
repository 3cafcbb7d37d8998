"""ExLlamaV2 and ExLlamaV3 as engines of rbee."""

from rbee_exllamav2.v2 import ExLlamaV2Engine
from rbee_exllamav2.v3 import ExLlamaV3Engine

__all__ = ["ExLlamaV2Engine", "ExLlamaV3Engine"]
