"""The API server of a Kubernetes cluster: how it is reached, and whose fault it is where it does not do what it should.

Owns the connection and the words of its faults; what is asked is its callers'. Importing it takes two seconds: whoever
may do without a cluster imports it late.
"""

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientError, ClientResponse
from kubernetes.aio.client import ApiClient, ApiException, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from binder.errors import BinderError, OperatorFault, WorldFault

_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
FOUND, CREATED, MISSING = 200, 201, 404
# What does not get better by trying again: a right that is missing, a quota that is used up, a namespace, a manifest.
REFUSALS = frozenset({400, 401, 403, 404, 422})
REQUEST_SECONDS = 30.0
APPLY: Any = {
    "field_manager": "binder",
    "force": True,
    "_content_type": "application/apply-patch+yaml",
    "_request_timeout": REQUEST_SECONDS,
}
"""What makes a patch a server-side apply of ours."""


@asynccontextmanager
async def cluster_connection() -> AsyncIterator[ApiClient]:
    """Give a connection to the cluster that this process runs in, else to the one that KUBECONFIG names.

    Raises: OperatorFault, where there is none.
    """
    configuration: Any = Configuration()
    inside: Any = load_incluster_config
    outside: Any = load_kube_config
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            inside(client_configuration=configuration)
        else:
            await outside(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        raise OperatorFault(
            f"No Kubernetes cluster can be found: {error} Set KUBECONFIG, or run this in a pod with a service account."
        ) from error
    async with ApiClient(configuration) as connection:
        yield connection


async def read_answer(answer: ClientResponse) -> tuple[int, Any]:
    """Return the status and the JSON of an answer; the client's typed models cost more than they tell.

    Raises: ApiException, where it is a refusal.
    """
    data = await answer.read()
    if not FOUND <= answer.status < 300:
        raise ApiException(status=answer.status, reason=answer.reason, body=data.decode(errors="replace"))
    return answer.status, json.loads(data)


def own_namespace() -> str | None:
    """Return the namespace of the pod that this process runs in; None outside of a cluster."""
    try:
        return _OWN_NAMESPACE.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


@contextmanager
def cluster_faults() -> Iterator[None]:
    """Say whose fault it is that the API server does not do what it is asked in the block.

    Raises: OperatorFault; WorldFault.
    """
    try:
        yield
    except ApiException as error:
        raise fault_of(error) from error
    except (ClientError, TimeoutError) as error:
        raise WorldFault("The cluster's API server does not answer.") from error


@contextmanager
def missing_is_fine() -> Iterator[None]:
    """Leave the block without a word where what it is about is not there."""
    try:
        yield
    except ApiException as error:
        if error.status != MISSING:
            raise


def fault_of(error: ApiException) -> BinderError:
    """Return whose fault an answer of the API server is, in its own words."""
    try:
        message = str(json.loads(error.body or "")["message"])
    except (ValueError, LookupError, TypeError):
        message = str(error.reason or "it gave no reason")
    if error.status in REFUSALS:
        return OperatorFault(f"The cluster refuses: {message}")
    return WorldFault(f"The cluster's API server failed: {message}")
