"""Symmetric policy routing for hosts with two or more networks."""

__version__ = "0.1.0"
