"""The Hugging Face hub as a model vendor of rbee."""

from rbee_huggingface.vendor import HuggingFaceVendor

__all__ = ["HuggingFaceVendor"]
