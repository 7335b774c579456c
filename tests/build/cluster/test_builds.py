"""Builds on a real cluster: a pod is started where one is needed, nothing of it is left, and the hostile gain nothing."""

import json

import pytest

from tests.build.cluster.conftest import Service
from tests.build.git_servers import GitServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


async def test_a_first_build_runs_in_a_pod_and_the_next_one_needs_none(
    service: Service, git_of_pods: GitServer
) -> None:
    repository = git_of_pods.repository("ada/notebooks")
    sha = repository.commit({"a.ipynb": json.dumps({"cells": []}), "requirements.txt": "six==1.16.0\n"})
    source = git_of_pods.source("ada/notebooks")
    try:
        built = await service.build(source, sha)
    finally:
        print(service.log.read_text())
    assert built.way == "full"
    again = repository.commit({"a.ipynb": "{}"})
    built = await service.build(source, again)
    assert built.way == "content"
