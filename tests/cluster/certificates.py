"""An authority of the cluster's own, and the certificates and kubeconfigs that it gives: new for each start.

Source: https://kubernetes.io/docs/setup/best-practices/certificates/
"""

import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFETIME = timedelta(days=7)
# A clock that was set back a little is no reason not to start.
_BEFORE = timedelta(hours=1)
_ONLY_SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """Signs certificates, and keeps them in `folder` with their keys: `ca.crt`, `NAME.crt`, `NAME.key`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("binder-test-cluster")
        certificate = _certificate(self._name, self._name, self._key.public_key())
        certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = certificate.add_extension(_ONLY_SIGNS, critical=True)
        own = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self._write("ca", self._key, certificate.add_extension(own, critical=False))

    @property
    def certificate(self) -> Path:
        """The certificate that everybody trusts."""
        return self.folder / "ca.crt"

    def issue(self, file: str, common_name: str, *, group: str = "", hosts: Sequence[str] = ()) -> tuple[Path, Path]:
        """Return the files of a new certificate and its key; `common_name` is a user's name, `group` that user's."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [_host(host) for host in hosts]
        certificate = _certificate(_name(common_name, group), self._name, key.public_key())
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = certificate.add_extension(signer, critical=False)  # newer Pythons ask for it
        if names:
            certificate = certificate.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return self._write(file, key, certificate)

    def kubeconfig(self, file: str, server: str, common_name: str, *, group: str = "") -> Path:
        """Return a file with which a user reaches the API server; it needs no other file."""
        certificate, key = self.issue(file, common_name, group=group)
        path = self.folder / f"{file}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(_kubeconfig(server, self.certificate, certificate, key)))
        return path

    def key_pair(self, file: str) -> tuple[Path, Path]:
        """Return the files of a new public key and its private one."""
        key = ec.generate_private_key(ec.SECP256R1())
        public, private = self.folder / f"{file}.pub", self.folder / f"{file}.key"
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
        private.write_bytes(_pem_of(key))
        return public, private

    def _write(
        self, file: str, key: ec.EllipticCurvePrivateKey, certificate: x509.CertificateBuilder
    ) -> tuple[Path, Path]:
        paths = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        signed = certificate.sign(self._key, hashes.SHA256())
        paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(_pem_of(key))
        return paths


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _LIFETIME)
    )


def _name(common_name: str, group: str = "") -> x509.Name:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    return x509.Name([*names, *([x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else [])])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _kubeconfig(server: str, authority: Path, certificate: Path, key: Path) -> dict[str, object]:
    """Source: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/ (YAML's subset JSON)."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": server, "certificate-authority-data": _inlined(authority)}}
        ],
        "users": [
            {
                "name": "test",
                "user": {"client-certificate-data": _inlined(certificate), "client-key-data": _inlined(key)},
            }
        ],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }


def _inlined(path: Path) -> str:
    return b64encode(path.read_bytes()).decode()
