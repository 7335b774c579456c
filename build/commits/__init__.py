"""Commits as they are fetched: their files as git's objects, those of submodules and of Git LFS too."""
