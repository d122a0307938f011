"""TLS of the gRPC server: certificates from files that may be replaced at any time."""

from __future__ import annotations

from pathlib import Path

import grpc
import structlog

from ratelimit_service.config.settings import ServerTls
from ratelimit_service.errors import SettingsError

_log = structlog.get_logger(__name__)


def server_credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """Read the certificate files, now and again whenever one of them changed.

    A connection that is made after a change sees the new certificate; files that cannot be
    read leave the old ones in use. Raises SettingsError when they cannot be read now.
    """
    files = _CertificateFiles(tls)
    try:
        first = files.read()
    except OSError as error:
        raise SettingsError(
            f"TLS file {error.filename}", f"cannot be read: {error.strerror}"
        ) from error
    return grpc.dynamic_ssl_server_credentials(
        first,
        files.read_if_changed,  # type: ignore[arg-type]  # None is allowed: nothing changed
        require_client_authentication=tls.client_ca is not None,
    )


class _CertificateFiles:
    """The files, and what they looked like when they were last read."""

    def __init__(self, tls: ServerTls) -> None:
        self._tls = tls
        self._seen: tuple[tuple[int, int], ...] = ()

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Read all files. Raises OSError."""
        tls = self._tls
        self._seen = self._look()
        return grpc.ssl_server_certificate_configuration(
            [(tls.key.read_bytes(), tls.certificate.read_bytes())],
            root_certificates=None if tls.client_ca is None else tls.client_ca.read_bytes(),
        )

    def read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what the files hold if they changed, else None. Called for each handshake."""
        try:
            if self._look() == self._seen:
                return None
            fresh = self.read()
        except OSError as error:
            _log.warning("cannot read the new certificates", error=str(error))
            return None
        _log.info("certificates reloaded", file=str(self._tls.certificate))
        return fresh

    def _look(self) -> tuple[tuple[int, int], ...]:
        return tuple(_fingerprint(path) for path in self._paths())

    def _paths(self) -> tuple[Path, ...]:
        tls = self._tls
        files = (tls.certificate, tls.key)
        return files if tls.client_ca is None else (*files, tls.client_ca)


def _fingerprint(path: Path) -> tuple[int, int]:
    """Tell versions of a file apart, also behind a symbolic link that was swapped."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns
