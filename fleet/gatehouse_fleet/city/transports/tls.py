"""TLS towards a platform: always verified; a private CA and a client certificate are files the target names."""

from __future__ import annotations

import ssl
from pathlib import Path

from gatehouse_fleet.city.errors import CityError
from gatehouse_fleet.city.target import ClientCertificate


def client_context(
    ca_file: str | None, certificate: ClientCertificate | None, *, beside: Path
) -> ssl.SSLContext:
    """Return the context for one platform.

    Raises:
        CityError: a file cannot be used; the text names it.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(beside / ca_file))
    except (OSError, ssl.SSLError) as error:
        raise CityError(f"ca_file {ca_file} cannot be used: {type(error).__name__}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        try:
            context.load_cert_chain(beside / certificate.certificate_file, beside / certificate.key_file)
        except (OSError, ssl.SSLError) as error:
            raise CityError(
                f"client certificate {certificate.certificate_file} cannot be used: {type(error).__name__}"
            ) from error
    return context
