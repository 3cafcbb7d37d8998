"""Doors for clients of other APIs, translated in front of the one path that all inference takes."""
