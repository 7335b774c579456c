"""The parts of the stand-in that everything else works on, in one value.

Owns nothing but their being together: what is remembered, git, what leaves, and what goes wrong.
"""

import asyncio
import collections
from dataclasses import dataclass, field

from githubapp.sandbox.access import Refusal
from githubapp.sandbox.deliveries import Deliveries
from githubapp.sandbox.faults import Faults
from githubapp.sandbox.names import split_full_name
from githubapp.sandbox.plumbing import Plumbing
from githubapp.sandbox.signing import SigningKey
from githubapp.sandbox.state import State
from githubapp.sandbox.values import Account, PullRequest, Repository


@dataclass(frozen=True)
class World:
    """Handed to every action; `push_locks` keeps the pushes to one repository apart from each other."""

    state: State
    git: Plumbing
    deliveries: Deliveries
    faults: Faults
    actions_key: SigningKey = field(default_factory=SigningKey)
    push_locks: collections.defaultdict[int, asyncio.Lock] = field(
        default_factory=lambda: collections.defaultdict(asyncio.Lock)
    )

    def repository(self, full_name: str) -> Repository:
        """Raises: Refusal 404."""
        try:
            found = self.state.repository(*split_full_name(full_name))
        except ValueError:
            found = None
        if found is None:
            raise Refusal(404, f"There is no repository {full_name}")
        return found

    def account(self, login: str) -> Account:
        """Raises: Refusal 404."""
        account = self.state.account(login)
        if account is None:
            raise Refusal(404, f"There is no account {login}")
        return account

    def pull(self, repository: Repository, number: int) -> PullRequest:
        """Raises: Refusal 404."""
        found = self.state.pulls.get((repository.id, number))
        if found is None:
            raise Refusal(404, "Not Found")
        return found
