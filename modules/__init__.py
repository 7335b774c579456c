"""The catalogue of services that a repository can ask for: `modules/<name>/<version>/`. Empty in this version."""
