"""The words, rules, settings, errors and the store that all share, and the process that wires them."""

__version__ = "0.1.0"
