"""The catalogue of services that a repository can ask for, `modules/<name>/<version>/`, and what becomes of one.

A folder's files are read into a `Module` (`modules.definition`); what a binder.yml asks of it makes it a `Bound`, which
a build keeps (`modules.bound`); and each session of that build gets `Services` of its own (`modules.services`). All of
it is pure but for the reading of the folders.
"""
