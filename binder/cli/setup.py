"""`binder setup`: a code for the page on which an operator sets up the GitHub App, in one click."""

import typer

from binder.errors import OperatorFault
from binder.paths import Paths
from binder.settings import read_settings
from binder.store.tables import utc_now
from githubapp.setup_code import LIFETIME, make_code
from githubapp.stored_app import with_stored_app


def invite() -> None:
    """Print where the page is, and the code that opens it.

    Raises: OperatorFault, where there is an App already, or no service yet.
    """
    settings = read_settings()
    folder = Paths(settings.state_dir, settings.cache_dir).github
    known = with_stored_app(settings, folder).github_app_id
    if known is not None:
        raise OperatorFault(
            f"This service works as the GitHub App {known} already. To set up another one, unset BINDER_GITHUB_APP_ID "
            f"or remove {folder / 'app'}, and start the service again."
        )
    if not folder.is_dir():
        raise OperatorFault(
            f"No service has run on {settings.state_dir} yet. Start `binder serve` first, then run this with the same "
            "settings beside it."
        )
    code = make_code(folder, utc_now())
    typer.echo(f"Open {settings.url}/setup in your browser, and enter this code there:\n")
    typer.echo(f"    {code}\n")
    typer.echo(f"It is good once, for {LIFETIME.seconds // 60} minutes, while the service runs.")
