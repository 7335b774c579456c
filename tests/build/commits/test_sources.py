"""Where repositories are fetched from: by which settings, with which right, and whose fault it is when it fails."""

import base64
from pathlib import Path

import pytest

from binder.errors import OperatorFault, RepositoryFault, VisitorFault, WorldFault
from build.commits.sources import Source, environment_for, fault_of

HTTPS = Source("https://github.example.org/ada/notebooks.git")


def _settings(env: dict[str, str]) -> dict[str, str]:
    count = int(env["GIT_CONFIG_COUNT"])
    return {env[f"GIT_CONFIG_KEY_{number}"]: env[f"GIT_CONFIG_VALUE_{number}"] for number in range(count)}


def test_a_token_goes_to_its_host_only_and_in_no_address() -> None:
    source = Source(HTTPS.url, token="hunter2")
    settings = _settings(environment_for(source, None))
    credentials = base64.b64encode(b"x-access-token:hunter2").decode()
    assert settings["http.https://github.example.org/.extraHeader"] == f"Authorization: Basic {credentials}"
    assert not any("extraHeader" in key for key in _settings(environment_for(HTTPS, None)))
    assert "hunter2" not in str(environment_for(source, None))


def test_only_a_local_source_is_a_folder() -> None:
    assert _settings(environment_for(HTTPS, None))["protocol.allow"] == "never"
    assert "protocol.file.allow" not in _settings(environment_for(HTTPS, None))
    assert _settings(environment_for(Source("file:///x", local=True), None))["protocol.file.allow"] == "always"


def test_certificates_are_the_hosts() -> None:
    assert environment_for(HTTPS, Path("/etc/ssl/ca.pem"))["GIT_SSL_CAINFO"] == "/etc/ssl/ca.pem"
    assert "GIT_SSL_CAINFO" not in environment_for(HTTPS, None)


def test_a_host_that_was_looked_at_is_not_looked_up_again() -> None:
    pinned = Source("https://git.example/x", addresses=("93.184.216.34", "[2606:2800:220:1::1]"))
    settings = _settings(environment_for(pinned, None))
    assert settings["http.curloptResolve"] == "git.example:443:93.184.216.34,[2606:2800:220:1::1]"
    assert settings["http.followRedirects"] == "false"
    assert "http.curloptResolve" not in _settings(environment_for(HTTPS, None))


@pytest.mark.parametrize(
    ("output", "fault", "message"),
    [
        ("fatal: write error: No space left on device", OperatorFault, "disk"),
        ("fatal: remote error: upload-pack: not our ref 123", RepositoryFault, "no longer in the repository"),
        ("remote: Repository not found.\nfatal: repository 'https://x/' not found", VisitorFault, "no repository at"),
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", VisitorFault, "or it is private"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", WorldFault, "Could not resolve host"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 503", WorldFault, "503"),
        ("fatal: write error: File too large", RepositoryFault, "larger than this service fetches"),
        ("fatal: fetch-pack: invalid index-pack output", RepositoryFault, "a trap"),
        ("fatal: early EOF\nfatal: fetch-pack: invalid index-pack output", WorldFault, "index-pack"),
        ("error: rev-list died of signal 11", RepositoryFault, "a trap"),
        ("", WorldFault, "it said nothing"),
    ],
)
def test_what_git_says_tells_whose_fault_it_is(output: str, fault: type[Exception], message: str) -> None:
    found = fault_of(HTTPS, output)
    assert isinstance(found, fault)
    assert message in found.message
