"""The deployment of a commit, in one environment for all previews: a pure function from rows to what it says."""

from typing import Final

from githubapp.markdown import one_line
from githubapp.reports import Addresses, CommitFacts, headline_of_fault, words_of_plan, words_of_work
from githubapp.values import LONGEST_DESCRIPTION_CHARACTERS, Deployment

ENVIRONMENT: Final = "binder-preview"

REMOVED: Final = Deployment("inactive", "The preview was removed", None, None)
"""What is said once no preview is at the commit any more."""


def deployment_of(facts: CommitFacts, addresses: Addresses) -> Deployment | None:
    """Return what the deployment of a commit should say, None where there should be none."""
    build, standing = facts.build, facts.standing
    if build is None or not any(preview.choices.get("deployment", True) for preview in facts.live):
        return None
    log_url = addresses.build(build)
    if standing == "building":
        return Deployment("in_progress", words_of_plan(build), None, log_url)
    if standing == "failed":
        text = one_line(headline_of_fault(build.fault or {}), LONGEST_DESCRIPTION_CHARACTERS)
        return Deployment("failure", text, None, log_url)
    if standing == "ready":
        text = one_line(words_of_work(build) or "Ready", LONGEST_DESCRIPTION_CHARACTERS)
        return Deployment("success", text, addresses.notebook(facts.repository, facts.sha, facts.notebook), log_url)
    return None
