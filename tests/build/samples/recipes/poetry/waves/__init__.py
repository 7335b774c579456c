"""Waves."""
