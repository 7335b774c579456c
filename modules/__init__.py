"""The catalogue of services that a repository can ask for, each below `modules/<name>/<version>/`."""
