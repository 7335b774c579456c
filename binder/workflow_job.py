"""What a job of GitHub Actions has proved of itself: which repository it runs for, and at which commit."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class WorkflowJob:
    """A job, by the claims of its token, which GitHub signed.

    The two numbers outlive names, and are what rights follow from. `sha` is the commit at `ref`, such as
    `refs/heads/main`: in a pull request that of the merge, at `refs/pull/7/merge`. `attempt` counts from 1. `token_id`
    is the token's own, and `ends_at` the time until which it is good.
    """

    repository_id: int
    owner_id: int
    owner: str
    name: str
    private: bool
    sha: str
    ref: str
    actor: str
    attempt: int
    token_id: str
    ends_at: datetime

    @property
    def full_name(self) -> str:
        """`owner/name`, as it is called now."""
        return f"{self.owner}/{self.name}"
