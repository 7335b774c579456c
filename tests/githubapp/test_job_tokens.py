"""What proves a job, and what proves nothing: tokens of the stand-in, and those that attackers would make."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.types import ASGIApp, Receive, Scope, Send

from binder.errors import VisitorFault, WorldFault
from binder.settings import read_settings
from githubapp.issuer_keys import IssuerKeys, issuer_of
from githubapp.job_tokens import JobTokens
from githubapp.sandbox.sandbox import Sandbox
from githubapp.sandbox.server import running_sandbox
from githubapp.sandbox.signing import SigningKey
from tests.served import served

URL = "https://binder.example.org"
SHA = "0123456789abcdef0123456789abcdef01234567"
KEYS = "/_services/token/.well-known/jwks"
_KEY = SigningKey()


@asynccontextmanager
async def github(folder: Path, asked: list[str] | None = None) -> AsyncIterator[Sandbox]:
    """Give a stand-in with one repository; `asked` gets the addresses that are asked for."""

    def noting(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if asked is not None:
                asked.append(scope["path"])
            await app(scope, receive, send)

        return answer

    async with running_sandbox(folder, wrap=noting) as sandbox:
        sandbox.world.actions_key._made = _KEY._private
        await sandbox.create_user("ada")
        await sandbox.create_repository("ada/notes")
        yield sandbox


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with github(tmp_path) as sandbox:
        yield sandbox


@pytest.fixture
def tokens(sandbox: Sandbox) -> JobTokens:
    return JobTokens(read_settings(url=URL, github_url=sandbox.url))


async def signed(sandbox: Sandbox, claims: Mapping[str, object] | None = None, audience: str = URL) -> str:
    return await sandbox.actions_token("ada/notes", audience=audience, sha=SHA, claims=dict(claims or {}))


async def test_a_job_is_what_github_signed_that_it_is(sandbox: Sandbox, tokens: JobTokens) -> None:
    job = await tokens.check(await signed(sandbox, {"sub": "repo:eve/other:ref:refs/heads/main", "run_attempt": "3"}))
    repository = sandbox.world.repository("ada/notes")
    assert (job.repository_id, job.owner_id) == (repository.id, sandbox.world.account("ada").id)
    assert (job.full_name, job.private, job.sha, job.ref) == ("ada/notes", False, SHA, "refs/heads/main")
    assert (job.actor, job.attempt, bool(job.token_id)) == ("ada", 3, True)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"aud": "https://other.example.org"}, "for another service"),
        ({"aud": [URL, "https://other.example.org"]}, "for another service"),
        ({"aud": f"{URL}/"}, "for another service"),
        ({"iss": "https://token.example.org"}, "whom alone this service trusts"),
        ({"exp": 1}, "not good now"),
        ({"nbf": 4_000_000_000}, "not good now"),
        ({"iat": 4_000_000_000}, "not good now"),
        ({"exp": 4_000_000_000}, "says what none of GitHub's says"),
        ({"exp": 10**400}, "says what none of GitHub's says"),
        ({"exp": "soon"}, "no token that GitHub signed"),
        ({"jti": None}, "no token that GitHub signed"),
        ({"jti": ""}, "the jti of its job"),
        ({"repository_id": "ada/notes"}, "the repository_id of its job"),
        ({"repository_id": 7}, "the repository_id of its job"),
        ({"repository_id": "\u0667"}, "the repository_id of its job"),
        ({"repository_owner_id": "-1"}, "the repository_owner_id of its job"),
        ({"repository": "ada/notes/../x"}, "says what none of GitHub's says"),
        ({"repository": "a" * 2000}, "the repository of its job"),
        ({"sha": "main"}, "says what none of GitHub's says"),
    ],
)
async def test_claims_that_prove_nothing_here(
    sandbox: Sandbox, tokens: JobTokens, claims: dict[str, object], why: str
) -> None:
    with pytest.raises(VisitorFault, match=why):
        await tokens.check(await signed(sandbox, claims))


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _unsigned(token: str, kid: str) -> str:
    return f"{_part({'alg': 'none', 'kid': kid, 'typ': 'JWT'})}.{token.split('.')[1]}."


def _by_the_public_key(token: str, kid: str) -> str:
    """Return a token that who takes the algorithm from it checks with what everybody knows."""
    public = _KEY._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = f"{_part({'alg': 'HS256', 'kid': kid})}.{token.split('.')[1]}"
    mac = base64.urlsafe_b64encode(hmac.digest(public, head.encode(), hashlib.sha256)).rstrip(b"=").decode()
    return f"{head}.{mac}"


def _by_another_key(token: str, kid: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid})


def _changed(token: str, _: str) -> str:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{head}.{_part({**claims, 'repository_id': '1'})}.{signature}"


def _with_a_key_of_its_own(token: str, kid: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    key = ec.generate_private_key(ec.SECP256R1())
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": kid, "jku": "https://evil.example/keys"})


@pytest.mark.parametrize(
    "forge",
    [
        _unsigned,
        _by_the_public_key,
        _by_another_key,
        _changed,
        _with_a_key_of_its_own,
        lambda token, _: token.rpartition(".")[0] + ".",
        lambda token, _: f"{_part({'alg': 'RS256'})}.{token.split('.', 1)[1]}",
        lambda token, _: f"{_part({'alg': 'RS256', 'kid': 7})}.{token.split('.', 1)[1]}",
        lambda token, _: f"{_part({'alg': 'RS256', 'kid': 'another'})}.{token.split('.', 1)[1]}",
        lambda token, _: f"{_part(['RS256'])}.{token.split('.', 1)[1]}",
        lambda token, _: "[" * 5000,
        lambda token, _: token + "A" * 9000,
        lambda token, _: "ä.ö.ü",
        lambda token, _: "",
    ],
)
async def test_what_github_did_not_sign(sandbox: Sandbox, tokens: JobTokens, forge: Callable[[str, str], str]) -> None:
    token = await signed(sandbox)
    forged = forge(token, str(_KEY.public_jwk["kid"]))
    with pytest.raises(VisitorFault) as refused:
        await tokens.check(forged)
    assert len(refused.value.message) < 200
    await tokens.check(token)


async def test_keys_are_asked_for_once_and_once_more_for_a_new_one(tmp_path: Path) -> None:
    asked: list[str] = []
    now = [1000.0]
    async with github(tmp_path, asked) as sandbox:
        keys = IssuerKeys(issuer_of(sandbox.url), lambda: now[0])
        kid = str(_KEY.public_jwk["kid"])
        await asyncio.gather(*(keys.key(kid) for _ in range(5)))
        assert asked == [KEYS]
        for _ in range(5):
            with pytest.raises(VisitorFault):
                await keys.key("made up")
        assert asked == [KEYS]
        now[0] += 11
        new = SigningKey()
        sandbox.world.actions_key._made = new._private
        await keys.key(str(new.public_jwk["kid"]))
        assert asked == [KEYS] * 2
        with pytest.raises(VisitorFault):
            await keys.key(kid)  # the old one is not GitHub's any more


async def test_keys_that_are_not_to_be_had_are_asked_for_now_and_then(tmp_path: Path) -> None:
    asked: list[str] = []
    now = [1000.0]
    async with github(tmp_path, asked) as sandbox:
        keys = IssuerKeys(issuer_of(sandbox.url), lambda: now[0])
        await sandbox.add_fault("status", count=1, path=KEYS, status=502)
        for _ in range(3):
            with pytest.raises(WorldFault):
                await keys.key(str(_KEY.public_jwk["kid"]))
        assert asked == [KEYS]
        now[0] += 11
        await keys.key(str(_KEY.public_jwk["kid"]))
        # What is known serves on while GitHub is away, for an hour.
        now[0] += 3000
        await sandbox.add_fault("status", count=9, path=KEYS, status=502)
        await keys.key(str(_KEY.public_jwk["kid"]))
        now[0] += 1000
        with pytest.raises(WorldFault):
            await keys.key(str(_KEY.public_jwk["kid"]))


def _jwk(key: Any, **more: object) -> dict[str, object]:
    public: dict[str, object] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return {"kty": public["kty"], "n": public["n"], "e": public["e"], **more}


@pytest.mark.parametrize(
    "answer",
    [
        b"not JSON",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": [7]}',
        b"[" * 100_000,
        b'{"keys": "' + b"x" * 300_000 + b'"}',
        json.dumps({"keys": [{"kty": "oct", "kid": "it", "k": "c2VjcmV0"}]}).encode(),
        json.dumps({"keys": [_jwk(rsa.generate_private_key(65537, 1024), kid="it")]}).encode(),  # noqa: S505
        json.dumps({"keys": [_jwk(rsa.generate_private_key(65537, 2048), kid="it", use="enc")]}).encode(),
        json.dumps({"keys": [_jwk(rsa.generate_private_key(65537, 2048), kid="it", alg="RS512")]}).encode(),
        json.dumps({"keys": [{"kty": "RSA", "kid": "it", "n": 7, "e": "AQAB"}]}).encode(),
        json.dumps({"keys": [_jwk(rsa.generate_private_key(65537, 2048), kid=["it"])]}).encode(),
        json.dumps({"keys": [{}] * 51}).encode(),
    ],
)
async def test_what_is_no_key_of_githubs_signs_nothing(answer: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "_services/token/.well-known"
    folder.mkdir(parents=True)
    (folder / "jwks").write_bytes(answer)
    with served(tmp_path) as url, pytest.raises((VisitorFault, WorldFault)):
        await IssuerKeys(f"{url}_services/token").key("it")


def test_who_signs_for_which_github() -> None:
    assert issuer_of("https://github.com") == "https://token.actions.githubusercontent.com"
    assert issuer_of("https://octo.ghe.com") == "https://token.actions.octo.ghe.com"
    assert issuer_of("https://git.example.org") == "https://git.example.org/_services/token"
