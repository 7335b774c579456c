"""The main job on a cluster: a push becomes a Job, an image, a pod, a green status, and a notebook that computes."""

import pytest
from playwright.async_api import Browser

from tests.browser import expect_first_output, run_first_cell_of
from tests.cluster.stage import REPOSITORY, ClusterStage
from tests.stage import NOTEBOOK

# The first build makes an environment of nothing, on the machine that the cluster runs on.
pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(1800)]


async def test_from_a_push_to_a_cell_that_prints(stage: ClusterStage, browser: Browser) -> None:
    sha = await stage.push({"index.ipynb": NOTEBOOK, "requirements.txt": "six\n"})
    status = await stage.final_status(sha)
    assert (status.state, status.description) == ("success", status.description)
    page = await browser.new_page()
    await run_first_cell_of(page, f"{stage.sandbox.url}/{REPOSITORY}/commit/{sha}", "index.ipynb")
    await expect_first_output(page, "42")
    assert page.url.startswith(f"{stage.url}/s/")
    await page.close()
