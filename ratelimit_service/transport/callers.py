"""Who calls: what a client's certificate says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

_NAMES: Final = (
    ("san", "x509_subject_alternative_name"),
    ("cn", "x509_common_name"),
)


def caller_of(auth_context: Mapping[str, Iterable[bytes]]) -> str:
    """Return the first alternative name of the caller's certificate, else its common name.

    Which of both it is stands before it, so that neither can pass for the other. Empty for a
    caller without a certificate. ``auth_context`` is that of a gRPC connection; only names
    that the handshake has verified are in it.
    """
    for kind, property_name in _NAMES:
        for name in auth_context.get(property_name, ()):
            return f"{kind}:{name.decode('utf-8', 'surrogateescape')}"
    return ""
