"""A private certificate authority and a server certificate for this machine's own names, for tests over TLS.

Nothing here is a secret worth keeping: every folder gets its own authority, trusted only where it is named.
"""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

# Fixed, so that a machine whose clock is some years or hours off accepts the certificate all the same.
VALID_FROM = datetime(2025, 1, 1, tzinfo=timezone.utc)
VALID_UNTIL = datetime(2035, 1, 1, tzinfo=timezone.utc)

# Bucket sub-domains of both are covered: a wildcard stands for one label.
DNS_NAMES = ("localhost", "*.localhost", "s3.localhost", "*.s3.localhost")
ADDRESSES = ("127.0.0.1", "::1")


@dataclass(frozen=True)
class Certificates:
    """PEM files: what a client trusts, what a server shows, and the server's unencrypted private key."""

    authority: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """What a server wraps its accepted sockets with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def certificates(folder: Path) -> Certificates:
    """The certificates of ``folder``, made there on first use. Safe for several processes at once.

    Raises ImportError where the ``cryptography`` package is missing (oss2 brings it along).
    """
    home = folder / f"certificates-{VALID_FROM:%Y}-{VALID_UNTIL:%Y}"
    if not home.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            _make(made)
            with contextlib.suppress(OSError):  # another process was faster, and its set is as good
                made.rename(home)
    return Certificates(home / "authority.pem", home / "server.pem", home / "server.key")


def _make(home: Path) -> None:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError as error:
        raise ImportError(
            "TLS test servers need the cryptography package: pip install cryptography"
        ) from error

    def name(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])

    def usage(authority: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not authority,
            key_cert_sign=authority,
            crl_sign=authority,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )

    # Both key identifiers and both usages: Python 3.13 verifies with VERIFY_X509_STRICT, which asks for them.
    authority_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = name("comfyui-cloud-storage test authority")
    authority_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id)
    issued = (
        x509.CertificateBuilder()
        .issuer_name(authority_name)
        .not_valid_before(VALID_FROM)
        .not_valid_after(VALID_UNTIL)
        .add_extension(issuer_id, critical=False)
    )
    authority = (
        issued.subject_name(authority_name)
        .public_key(authority_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(authority_id, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(authority=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    alternatives: list[x509.GeneralName] = [x509.DNSName(each) for each in DNS_NAMES]
    alternatives += [x509.IPAddress(ipaddress.ip_address(each)) for each in ADDRESSES]
    server = (
        issued.subject_name(name("localhost"))
        .public_key(server_key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(server_key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (home / "authority.pem").write_bytes(authority.public_bytes(pem))
    (home / "server.pem").write_bytes(server.public_bytes(pem))
    plain = serialization.NoEncryption()
    key = server_key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    (home / "server.key").write_bytes(key)
    (home / "server.key").chmod(0o600)
