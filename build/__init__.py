"""Turns a commit into an image digest, re-using every layer whose inputs did not change."""
