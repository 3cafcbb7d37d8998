"""An rbee engine without a model: it answers with your own words."""

__version__ = "0.1.0"
