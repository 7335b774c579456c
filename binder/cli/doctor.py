"""`binder doctor`: what is in the way of a service on this machine."""

import typer

from binder.process import find_account
from binder.service.machine import complaints_about, look_at_machine
from binder.settings import read_settings


def examine() -> None:
    """Print what is missing, or that nothing is; exits with 4 where something is."""
    settings = read_settings()
    account = find_account(settings.build_account)
    complaints = complaints_about(look_at_machine(account, settings.cache_dir))
    for complaint in complaints:
        typer.echo(f"✗ {complaint}")
    if complaints:
        raise typer.Exit(4)
    typer.echo(f"✓ This machine has what a service needs. Builds run as {account.name}.")
