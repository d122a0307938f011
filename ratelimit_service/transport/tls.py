"""TLS of the gRPC server: certificates from files that may be replaced at any time."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TypeAlias

import grpc
import structlog

from ratelimit_service.config.settings import ServerTls
from ratelimit_service.errors import SettingsError

_log = structlog.get_logger(__name__)

_Fingerprint: TypeAlias = tuple[int, int] | None


def server_credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """Read the certificate files, now and again whenever one of them changed.

    A connection that is made after a change sees the new certificate; files that cannot be
    used leave the old ones in use. Raises SettingsError when they cannot be used now.
    """
    files = _CertificateFiles(tls)
    try:
        first = files.read()
    except OSError as error:
        raise SettingsError("TLS of the gRPC server", _reason(tls, error)) from error
    return grpc.dynamic_ssl_server_credentials(
        first,
        files.read_if_changed,  # type: ignore[arg-type]  # None is allowed: nothing changed
        require_client_authentication=tls.client_ca is not None,
    )


class _CertificateFiles:
    """The files, and what they looked like when they were last read."""

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._seen: tuple[_Fingerprint, ...] = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Read all files. Raises OSError, of which SSLError is one."""
        tls = self._tls
        self._seen = self._look()
        _check(tls)
        return grpc.ssl_server_certificate_configuration(
            [(tls.key.read_bytes(), tls.certificate.read_bytes())],
            root_certificates=None if tls.client_ca is None else tls.client_ca.read_bytes(),
        )

    def read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files hold if they changed, else None. Called for each handshake."""
        if self._look() == self._seen:
            return None
        try:
            fresh = self.read()
        except OSError as error:
            _log.warning(
                "new certificates not used; those before stay", reason=_reason(self._tls, error)
            )
            return None
        _log.info("certificates reloaded", file=str(self._tls.certificate))
        return fresh

    def _look(self) -> tuple[_Fingerprint, ...]:
        tls = self._tls
        files = (tls.certificate, tls.key, tls.client_ca)
        return tuple(_fingerprint(path) for path in files if path is not None)


def _fingerprint(path: Path) -> _Fingerprint:
    """Tell versions of a file apart, also behind a symbolic link that was swapped."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _check(tls: ServerTls) -> None:
    """Raise OSError for what gRPC would refuse without a reason, such as a key of another pair."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A password, so that a key that needs one is an error and not a question on the terminal.
    context.load_cert_chain(tls.certificate, tls.key, password="")
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)


def _reason(tls: ServerTls, error: OSError) -> str:
    files = f"{tls.certificate} and {tls.key}"
    if tls.client_ca is not None:
        files = f"{files} with {tls.client_ca}"
    return f"{files} cannot be used: {error.strerror or error}"
