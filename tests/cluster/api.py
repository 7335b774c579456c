"""The API server as tests see it: JSON goes in, JSON comes out, by the paths that Kubernetes documents.

Its own client's typed models have an optional for every field, and none of them says more than JSON does.
"""

import json
from pathlib import Path
from typing import Any

from kubernetes import client, config

Object = dict[str, Any]
"""A Kubernetes object as JSON; one that is namespaced names its namespace."""

_SECONDS = 10


class Refused(Exception):
    """The API server did not do it: `status` is HTTP's, and the text is its reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Api:
    """A user of the API server. All that asks it raises Refused."""

    def __init__(self, connection: "client.ApiClient") -> None:
        self._connection: Any = connection

    @classmethod
    def as_administrator(cls, kubeconfig: Path) -> "Api":
        """Return the user that a kubeconfig names."""
        return cls(config.new_client_from_config(str(kubeconfig)))  # type: ignore[no-untyped-call]

    def as_bearer(self, token: str) -> "Api":
        """Return the user whose token this is."""
        settings = self._connection.configuration
        bearer = client.Configuration(host=settings.host, ssl_ca_cert=settings.ssl_ca_cert)
        bearer.api_key = {"BearerToken": f"Bearer {token}"}
        return Api(client.ApiClient(bearer))

    def close(self) -> None:
        """Let go of the sockets."""
        self._connection.rest_client.pool_manager.clear()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer to a request, its JSON read."""
        form = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "application/json", "Content-Type": form}
        request = self._connection.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        answer = self._connection.call_api(*request, _request_timeout=_SECONDS)
        data = answer.read()
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, json.loads(data).get("message", ""))
        return json.loads(data)

    def list(self, path: str) -> list[Object]:
        """Return the objects of a collection."""
        items: list[Object] = self.ask("GET", path)["items"]
        return items

    def create(self, made: Object) -> Object:
        """Create an object, and return what it became."""
        created: Object = self.ask("POST", collection_of(made), made)
        return created

    def read(self, known: Object) -> Object:
        """Return an object as it is now."""
        found: Object = self.ask("GET", f"{collection_of(known)}/{known['metadata']['name']}")
        return found

    def delete(self, known: Object) -> None:
        """Delete an object; what it owns goes by and by."""
        self.ask("DELETE", f"{collection_of(known)}/{known['metadata']['name']}")

    @property
    def wires(self) -> "client.CoreV1Api":
        """What `kubernetes.stream` starts from: commands in pods, and ports of theirs."""
        return client.CoreV1Api(self._connection)


def collection_of(known: Object) -> str:
    """Return the path of the collection that an object belongs to."""
    version, kind = known["apiVersion"], known["kind"].lower()
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = known["metadata"].get("namespace")
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"
