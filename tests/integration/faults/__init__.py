"""Stores that refuse, and connections that die while idle."""
