"""A plugin of rbee."""
