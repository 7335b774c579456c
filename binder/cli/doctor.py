"""`binder doctor`: what is in the way of a service on this machine, and of its App at GitHub."""

import asyncio

import typer

from binder.errors import BinderError
from binder.paths import Paths
from binder.process import find_account
from binder.service.machine import complaints_about, look_at_machine, needs_of
from binder.settings import Settings, read_settings
from githubapp.examination import examine_app
from githubapp.stored_app import with_stored_app


def examine() -> None:
    """Print what is missing, or that nothing is; exits with 4 where something is."""
    settings = read_settings()
    account = find_account(settings.build_account)
    needs = needs_of("all", settings.engine, builds_here=not settings.builds_namespace)
    complaints = complaints_about(look_at_machine(account, settings), needs)
    remarks = [] if complaints else [f"✓ This machine has what a service needs. Builds run as {account.name}."]
    try:
        about_app = _look_at_app(settings, remarks)
    except BinderError as error:
        about_app = [error.message]
    for complaint in [*complaints, *about_app]:
        typer.echo(f"✗ {complaint}")
    for remark in remarks:
        typer.echo(remark)
    if complaints or about_app:
        raise typer.Exit(4)


def _look_at_app(settings: Settings, remarks: list[str]) -> list[str]:
    """Return what is in the way of the App; where nothing is, say so in `remarks`.

    Raises: BinderError.
    """
    settings = with_stored_app(settings, Paths(settings.state_dir, settings.cache_dir).github)
    if settings.github_app_id is None:
        remarks.append("○ No GitHub App is set up, so nothing is built by itself. `binder setup` sets one up.")
        return []
    complaints = asyncio.run(examine_app(settings))
    if not complaints:
        remarks.append(f"✓ The GitHub App {settings.github_app_id} has what it needs.")
    return complaints
