"""The catalogue of services that a repository can ask for, `modules/<name>/<version>/`: empty in this version."""
