"""Certificates that live for one test."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path) -> None:
        """Write what it issues into ``folder``, which it makes when it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA()
        self.certificate = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.certificate))

    def issue(self, *names: str) -> KeyPair:
        """Return a certificate for these hosts, addresses or e-mail addresses."""
        issued = self._ca.issue_cert(*names)
        stem = names[0].replace("/", "_")
        pair = KeyPair(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        issued.private_key_pem.write_to_path(str(pair.key))
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        pair.certificate.write_bytes(chain)
        return pair

    def server_context(self, *names: str, client_ca: Path | None = None) -> ssl.SSLContext:
        """Return TLS of a server with these names; ``client_ca`` makes it ask for certificates."""
        pair = self.issue(*names)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=client_ca)
        context.load_cert_chain(pair.certificate, pair.key)
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context
