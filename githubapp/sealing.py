"""Seals what is kept of visitors' tokens, so that whoever reads the store, or its backup, cannot act for them.

The key is made of the App's client secret: each replica has it, and nothing else need be kept. Where the secret
changes, what was sealed is lost, and visitors sign in again.
"""

import base64
import json
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from githubapp.oauth import UserTokens

_PURPOSE = b"binder: tokens of visitors"


class Seal:
    """What seals and opens."""

    def __init__(self, client_secret: str) -> None:
        key = HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(client_secret.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, tokens: UserTokens) -> str:
        """Return tokens as a text that only this secret opens."""
        ends_at = tokens.ends_at.isoformat() if tokens.ends_at else None
        return self._fernet.encrypt(json.dumps([tokens.access, ends_at, tokens.refresh]).encode()).decode()

    def open(self, sealed: str) -> UserTokens | None:
        """Return the tokens of such a text, None where it is not of this secret."""
        try:
            access, ends_at, refresh = json.loads(self._fernet.decrypt(sealed.encode()))
        except InvalidToken:
            return None
        return UserTokens(access, datetime.fromisoformat(ends_at) if ends_at else None, refresh)
