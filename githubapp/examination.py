"""What is in the way of the App at GitHub: asked of GitHub once, decided purely, said all together."""

from collections.abc import Sequence
from dataclasses import dataclass

from binder.app_manifest import EVENTS, PERMISSIONS, WEBHOOK_PATH
from binder.settings import Settings
from githubapp.client import GitHubClient
from githubapp.values import AppFacts, HookDelivery

_LOOKED_AT = 10
_RANK = {None: 0, "read": 1, "write": 2, "admin": 3}


@dataclass(frozen=True)
class Examined:
    """What GitHub said: of the App, and of its latest deliveries, the newest first."""

    app: AppFacts
    deliveries: Sequence[HookDelivery]


def complaints_about(examined: Examined, *, url: str, pulls_deliveries: bool) -> list[str]:
    """Return what is in the way of the App of the service at `url`, a sentence each with what mends it."""
    app = examined.app
    lacking = [
        f"{one.title}: {one.level}"
        for one in PERMISSIONS
        if _RANK.get(app.permissions.get(one.name), 0) < _RANK[one.level]
    ]
    unheard = [event for event in EVENTS if event not in app.events]
    complaints = []
    if lacking:
        complaints.append(
            f"The GitHub App lacks permissions: {', '.join(lacking)}. Add them in the App's settings ({app.page}); "
            "owners of its installations are then asked to accept them."
        )
    if unheard:
        complaints.append(
            f"The GitHub App does not hear of events: {', '.join(unheard)}. Subscribe to them in its settings "
            f"({app.page})."
        )
    latest = examined.deliveries[:_LOOKED_AT]
    if latest and not pulls_deliveries and not any(200 <= one.status_code < 300 for one in latest):
        complaints.append(
            f"GitHub could deliver none of its latest {len(latest)} deliveries; of the last it says: "
            f"{latest[0].status}. See that it reaches {url}{WEBHOOK_PATH}, or set BINDER_GITHUB_DELIVERIES=pull."
        )
    return complaints


async def examine_app(settings: Settings) -> list[str]:
    """Return what is in the way of the App that the settings name.

    Raises: BinderError, where GitHub cannot be asked, or does not know us.
    """
    client = GitHubClient.from_settings(settings)
    try:
        examined = Examined(await client.about_app.facts(), (await client.about_app.deliveries()).items)
    finally:
        client.close()
    return complaints_about(examined, url=settings.url, pulls_deliveries=settings.github_deliveries == "pull")
