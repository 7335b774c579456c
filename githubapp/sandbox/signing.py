"""The key that the identities of jobs are signed with."""

import hashlib
import json
import threading
from collections.abc import Mapping

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from githubapp.sandbox.values import Json

_KEY_BITS = 2048


class SigningKey:
    """The issuer's key, made when it is first needed."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._made: rsa.RSAPrivateKey | None = None

    @property
    def _private(self) -> rsa.RSAPrivateKey:
        """One key for all, also for those who ask in other threads while it is made."""
        with self._making:
            if self._made is None:
                self._made = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
            return self._made

    @property
    def public_jwk(self) -> Json:
        """The public half, in the form of a JWK; making the key takes a moment."""
        public: Json = json.loads(RSAAlgorithm.to_jwk(self._private.public_key()))
        kid = hashlib.sha256(str(public["n"]).encode()).hexdigest()[:40]
        return {"kty": public["kty"], "n": public["n"], "e": public["e"], "use": "sig", "alg": "RS256", "kid": kid}

    def signed(self, claims: Mapping[str, object]) -> str:
        """A JWT of these claims."""
        headers = {"kid": str(self.public_jwk["kid"]), "x5t": str(self.public_jwk["kid"])}
        return jwt.encode(dict(claims), self._private, algorithm="RS256", headers=headers)
