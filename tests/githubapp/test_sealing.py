"""What is kept of visitors' tokens: opened by the App's client secret, and by nothing else."""

from datetime import UTC, datetime

import pytest

from githubapp.oauth import UserTokens
from githubapp.sealing import Seal

TOKENS = UserTokens("ghu_abc", datetime(2026, 3, 1, tzinfo=UTC), "ghr_def")


@pytest.mark.parametrize("tokens", [TOKENS, UserTokens("ghu_abc")])
def test_what_was_sealed_is_opened_by_any_replica(tokens: UserTokens) -> None:
    sealed = Seal("secret").seal(tokens)
    assert Seal("secret").open(sealed) == tokens
    assert not any(secret in sealed for secret in ("ghu_", "ghr_", "secret"))


def test_another_secret_opens_nothing_nor_does_anything_open_what_was_changed() -> None:
    sealed = Seal("secret").seal(TOKENS)
    assert Seal("another").open(sealed) is None
    assert Seal("secret").open(sealed[:-4] + "AAAA") is None


def test_nobody_prints_them() -> None:
    assert "gh" not in repr(TOKENS)
