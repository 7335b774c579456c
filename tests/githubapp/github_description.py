"""GitHub's own description of its interface, and whether what was said on the wire agrees with it.

Owns the checks of one REST exchange and of one
delivery. Used on both sides: our stand-in's answers and our client's requests are held against the same text.
The descriptions accept unknown keys and descriptions that GitHub refuses as too long, so both are looked for here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.githubapp.github_packages import PackageFile

API_PREFIX = "/api/v3"

# Parameters whose values have slashes in them.
_LONG_PARAMETERS = frozenset({"ref", "branch", "path", "basehead"})
# Limits that GitHub keeps to, but does not write into its description: (method, path) → field → characters.
_LONGEST = {
    ("post", "/repos/{owner}/{repo}/statuses/{sha}"): {"description": 140, "context": 255},
    ("post", "/repos/{owner}/{repo}/deployments/{deployment_id}/statuses"): {"description": 140},
    ("post", "/repos/{owner}/{repo}/deployments"): {"description": 140},
    ("post", "/repos/{owner}/{repo}/issues/{issue_number}/comments"): {"body": 65_536},
    ("patch", "/repos/{owner}/{repo}/issues/comments/{comment_id}"): {"body": 65_536},
}
# What every refusal looks like, for those that an operation does not list.
_ANY_REFUSAL = {"$ref": "#/components/schemas/basic-error"}
_ANY_VALIDATION_ERROR = {
    "anyOf": [
        {"$ref": "#/components/schemas/validation-error"},
        {"$ref": "#/components/schemas/validation-error-simple"},
    ]
}
# Answers that say that the request itself was wrong: a test meant it to be.
_REQUEST_WAS_WRONG = frozenset({400, 404, 413, 422})


class NotAsDescribedError(AssertionError):
    """Something was said that GitHub would not say, or would not take."""


_REST = PackageFile(
    "@octokit/openapi",
    "23.0.2",
    "generated/api.github.com.json",
    "829b4bebb19a53133289f7b0bc819f4f1118115821db2ca9f25e9ee995a7da2a",
)
_WEBHOOKS = PackageFile(
    "@octokit/openapi-webhooks",
    "12.1.0",
    "generated/api.github.com.json",
    "0a86fcfad6f38c696f2f1967311e61a4009adca58adac52d7df52e003d187b26",
)


@cache
def _description(source: PackageFile) -> Mapping[str, Any]:
    described: dict[str, Any] = source.read()
    if source is _REST:
        _correct_rest(described)
    _correct_pull_requests(described)
    return described


def _correct_rest(described: dict[str, Any]) -> None:
    """Put right what the description gets wrong: here alone an account must be a user *and* an enterprise, where the
    same object is either of them everywhere else (`installation`); and the addresses of a deployment's status must be
    some, though "" is their own default. Why nothing is deployed is said in a body, which only the text shows."""
    answer = described["paths"]["/app/installations"]["get"]["responses"]["200"]
    account = answer["content"]["application/json"]["schema"]["items"]["properties"]["account"]
    account["anyOf"] = account.pop("allOf")
    status = described["components"]["schemas"]["deployment-status"]["properties"]
    del described["paths"]["/repos/{owner}/{repo}/deployments"]["post"]["responses"]["409"]
    for name in ("target_url", "environment_url", "log_url"):
        status[name] = {"anyOf": [{"const": status[name]["default"]}, status[name]]}


def _correct_pull_requests(described: dict[str, Any]) -> None:
    """The repository of a head is null once a fork has been deleted, though the description does not say so."""
    for name in ("pull-request", "pull-request-simple"):
        sides = described["components"]["schemas"].get(name, {}).get("properties")
        if sides:
            head = sides["head"]["properties"]
            head["repo"] = {"anyOf": [{"type": "null"}, head["repo"]]}


# Exchanges


@dataclass(frozen=True)
class Exchange:
    """A REST call and its answer; bodies are parsed JSON, text where they are not JSON, None where there are none."""

    method: str
    path: str
    query: Mapping[str, str]
    request_body: object
    status: int
    response_body: object

    def validate(self) -> None:
        validate_exchange(self.method, self.path, self.query, self.request_body, self.status, self.response_body)


def validate_exchange(
    method: str, path: str, query: Mapping[str, str], request_body: object, status: int, response_body: object
) -> None:
    """Check one REST call and its answer; `path` has no prefix before `/repos`, `/app` …

    Raises: NotAsDescribedError, for a route, query, body or answer that GitHub does not describe.
    """
    template, operation = _operation(method.lower(), path)
    said = f"{method.upper()} {path} → {status}"
    if status not in _REQUEST_WAS_WRONG:
        _check_query(said, operation, query)
        _check_request_body(said, template, method.lower(), operation, request_body)
    _check_answer(said, operation, status, response_body)


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    """A pattern for each path, those with the most literal parts first."""
    paths = list(_description(_REST)["paths"])
    paths.sort(key=lambda path: -sum("{" not in part for part in path.split("/")))
    return [(re.compile(_pattern(path)), path) for path in paths]


def _pattern(template: str) -> str:
    parts = re.split(r"\{(\w+)\}", template)
    literals = [re.escape(part) for part in parts[::2]]
    names = [".+" if name in _LONG_PARAMETERS else "[^/]+" for name in parts[1::2]]
    return "".join(literal + name for literal, name in zip(literals, [*names, ""], strict=True))


def _operation(method: str, path: str) -> tuple[str, Mapping[str, Any]]:
    # Older spellings that GitHub answers alike and does not describe: a repository by its number, where redirects lead,
    # the statuses of a commit, as PyGithub asks for them, and the top folder, whose path is empty.
    named = re.sub(r"^/repositories/\d+", "/repos/owner/name", path)
    named = re.sub(r"^(/repos/[^/]+/[^/]+/contents)/$", r"\1/-", named)
    if method == "get":
        named = re.sub(r"^(/repos/[^/]+/[^/]+)/statuses/(.+)$", r"\1/commits/\2/statuses", named)
    for pattern, template in _templates():
        operations = _description(_REST)["paths"][template]
        if method in operations and pattern.fullmatch(named):
            return template, operations[method]
    raise NotAsDescribedError(f"GitHub has no {method.upper()} {path}")


def _check_query(said: str, operation: Mapping[str, Any], query: Mapping[str, str]) -> None:
    parameters = [_resolved(_REST, one) for one in operation.get("parameters", ())]
    known = {one["name"]: one["schema"] for one in parameters if one["in"] == "query"}
    for name, value in query.items():
        if name not in known:
            raise NotAsDescribedError(f"{said}: unknown query {name!r}")
        schema = _resolved(_REST, known[name])
        typed = int(value) if schema.get("type") == "integer" and value.isdigit() else value
        _check(said + f", query {name}", _REST, schema, typed)


def _check_request_body(said: str, template: str, method: str, operation: Mapping[str, Any], body: object) -> None:
    described = operation.get("requestBody")
    if body is None or described is None:
        if body or (body is None and described and described.get("required")):
            raise NotAsDescribedError(f"{said}: a body where there is none, or none where there is one")
        return
    schema = described["content"]["application/json"]["schema"]
    _check(f"{said}, request", _REST, schema, body)
    for name, longest in _LONGEST.get((method, template), {}).items():
        value = body.get(name) if isinstance(body, dict) else None
        if isinstance(value, str) and len(value) > longest:
            raise NotAsDescribedError(f"{said}: {name} has {len(value)} characters, of {longest} at most")
    unknown = list(_unknown_keys(schema, body))
    if unknown:
        raise NotAsDescribedError(f"{said}: unknown in the request: {', '.join(unknown)}")


def _check_answer(said: str, operation: Mapping[str, Any], status: int, body: object) -> None:
    described = operation["responses"].get(str(status))
    if described is None:
        if status < 300:
            raise NotAsDescribedError(f"{said}: GitHub never answers so")
        _check(said, _REST, _ANY_VALIDATION_ERROR if status == 422 else _ANY_REFUSAL, body)
        return
    contents = _resolved(_REST, described).get("content", {})
    if isinstance(body, str) and len(contents) > 1:
        return
    schemas = [content["schema"] for name, content in contents.items() if "json" in name]
    if schemas:
        _check(said, _REST, schemas[0] if len(schemas) == 1 else {"anyOf": schemas}, body)
    elif body is not None:
        raise NotAsDescribedError(f"{said}: a body where GitHub sends none")


# Deliveries


def validate_webhook(event: str, payload: Mapping[str, Any]) -> None:
    """Check the payload of a delivery.

    Raises: NotAsDescribedError, for an event, action or payload that GitHub does not describe.
    """
    action = payload.get("action")
    name = event.replace("_", "-") + (f"-{action.replace('_', '-')}" if isinstance(action, str) else "")
    described = _description(_WEBHOOKS)["webhooks"].get(name)
    if described is None:
        raise NotAsDescribedError(f"GitHub sends no {name}")
    _check(
        f"delivery of {name}",
        _WEBHOOKS,
        described["post"]["requestBody"]["content"]["application/json"]["schema"],
        payload,
    )


# Schemas


def _check(said: str, source: PackageFile, schema: Mapping[str, Any], value: object) -> None:
    validator = _validator(source.package, json.dumps(schema, sort_keys=True))
    errors = [line for error in validator.iter_errors(value) for line in _lines(error)]
    if errors:
        raise NotAsDescribedError(f"{said} is not as described:\n" + "\n".join(errors[:10]))


def _lines(error: jsonschema_rs.ValidationError) -> list[str]:
    """What is wrong, told for the alternative that comes nearest where there are several."""
    alternatives = getattr(error.kind, "context", None)
    if alternatives:
        nearest = max(alternatives, key=lambda errors: (len(errors[0].instance_path), -len(errors)))
        return [line for inner in nearest for line in _lines(inner)]
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message[:300]}"]


@cache
def _validator(package: str, schema_text: str) -> jsonschema_rs.Draft202012Validator:
    source = _REST if package == _REST.package else _WEBHOOKS
    schema = json.loads(schema_text)
    wanted: dict[str, Any] = {}
    _collect(source, schema, wanted)
    # Only the closure of what is used: all components in each validator took minutes and gigabytes.
    whole = {**_with_null(schema), "components": {"schemas": {name: _with_null(one) for name, one in wanted.items()}}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def _collect(source: PackageFile, node: object, into: dict[str, Any]) -> None:
    """Gather the schemas that `node` refers to, and those that they refer to."""
    if isinstance(node, list):
        for item in node:
            _collect(source, item, into)
    if not isinstance(node, dict):
        return
    reference = node.get("$ref")
    if isinstance(reference, str) and (name := reference.rpartition("/")[2]) not in into:
        into[name] = _description(source)["components"]["schemas"][name]
        _collect(source, into[name], into)
    for key, value in node.items():
        if key not in {"example", "examples"}:
            _collect(source, value, into)


def _with_null(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` in the words of JSON Schema."""
    if isinstance(node, list):
        return [_with_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _with_null(value) for key, value in node.items() if key not in {"nullable", "example", "examples"}}
    return {"anyOf": [{"type": "null"}, plain]} if node.get("nullable") is True else plain


def _resolved(source: PackageFile, node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        found: Mapping[str, Any] = _description(source)
        for part in node["$ref"].split("/")[1:]:
            found = found[part]
        node = found
    return node


def _unknown_keys(schema: Mapping[str, Any], value: object, path: str = "") -> Iterator[str]:
    """The keys of `value` that no part of `schema` names."""
    options = _options(schema)
    if isinstance(value, list):
        items = [option["items"] for option in options if "items" in option]
        for item in value if items else ():
            yield from _unknown_keys({"anyOf": items}, item, path)
    if not isinstance(value, dict) or any(option.get("additionalProperties") for option in options):
        return
    known: dict[str, list[Mapping[str, Any]]] = {}
    for option in options:
        for name, described in option.get("properties", {}).items():
            known.setdefault(name, []).append(described)
    for name, inner in value.items():
        if known and name not in known:
            yield f"{path}{name}"
        elif known:
            yield from _unknown_keys({"anyOf": known[name]}, inner, f"{path}{name}.")


def _options(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A schema and all that it is combined of."""
    schema = _resolved(_REST, schema)
    parts = [part for key in ("allOf", "anyOf", "oneOf") for part in schema.get(key, ())]
    return [schema, *(option for part in parts for option in _options(part))]


# Listening in


@dataclass
class Recorder:
    """Listens to the REST calls that pass through an ASGI application."""

    exchanges: list[Exchange] = field(default_factory=list)

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """`app`, listened to."""

        async def listened(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not scope["path"].startswith(API_PREFIX):
                await app(scope, receive, send)
                return
            asked, answered = await _whole_body(receive), bytearray()
            said = iter([{"type": "http.request", "body": asked, "more_body": False}])
            status = 0

            async def say_again() -> Message:
                return next(said, None) or await receive()

            async def hear_answer(message: Message) -> None:
                nonlocal status
                status = message.get("status", status)
                answered.extend(message.get("body", b""))
                await send(message)

            await app(scope, say_again, hear_answer)
            self.exchanges.append(_exchange(scope, asked, status, bytes(answered)))

        return listened

    def validate(self) -> None:
        """Check all that was heard.

        Raises: NotAsDescribedError.
        """
        for exchange in self.exchanges:
            exchange.validate()


async def _whole_body(receive: Receive) -> bytes:
    """All of a request's body, also where nobody would read it because the caller may not call."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def _exchange(scope: Scope, asked: bytes, status: int, answered: bytes) -> Exchange:
    query = dict(parse_qsl(scope["query_string"].decode()))
    path = scope["path"].removeprefix(API_PREFIX)
    return Exchange(scope["method"], path, query, _parsed(asked), status, _parsed(answered))


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")
