"""An S3-compatible store through the `minio` client (extra `s3`): same names, same rules as the directory.

No foreign endpoint by default (domain row 50): there is no default endpoint at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gatehouse_config.secret_files import read_secret
from gatehouse_fleet.evidence.errors import VaultError
from gatehouse_fleet.evidence.vault import CHUNK_BYTES
from gatehouse_fleet.settings import S3Settings

_NOT_THERE: Final = frozenset({"NoSuchKey", "NoSuchObject"})


class S3Vault:
    """One bucket."""

    def __init__(self, settings: S3Settings, *, beside: Path) -> None:
        """Connect lazily; credentials are read now.

        Raises:
            VaultError: the extra is not installed, or the bucket is not there.
            SecretError: a credential file cannot be used.
        """
        try:
            from minio import Minio
        except ImportError as error:
            raise VaultError("an S3 store needs the extra `s3`: pip install gatehouse[fleet,s3]") from error
        self._settings: Final = settings
        self._client: Final = Minio(
            settings.endpoint,
            access_key=read_secret(beside / settings.access_key_file),
            secret_key=read_secret(beside / settings.secret_key_file),
            secure=settings.tls,
            region=settings.region,
        )

    def put(self, sha256: str, source: Path) -> None:
        """See `Vault.put`."""
        try:
            self._client.fput_object(self._settings.bucket, self._name(sha256), str(source))
        except Exception as error:  # the client raises urllib3's, its own and plain ones
            raise VaultError(f"the store does not take evidence: {type(error).__name__}") from error
        source.unlink()

    def size(self, sha256: str) -> int | None:
        """See `Vault.size`."""
        from minio.error import S3Error

        try:
            found = self._client.stat_object(self._settings.bucket, self._name(sha256))
        except S3Error as error:
            if error.code in _NOT_THERE:
                return None
            raise VaultError(f"the store refuses: {error.code}") from error
        return int(found.size or 0)

    def read(self, sha256: str, start: int, count: int) -> Iterator[bytes]:
        """See `Vault.read`."""
        from minio.error import S3Error

        if count <= 0:
            return
        try:
            answer = self._client.get_object(
                self._settings.bucket, self._name(sha256), offset=start, length=count
            )
        except S3Error as error:
            raise VaultError(f"the store refuses: {error.code}") from error
        try:
            yield from answer.stream(CHUNK_BYTES)
        finally:
            answer.close()
            answer.release_conn()

    def delete(self, sha256: str) -> None:
        """See `Vault.delete`."""
        self._client.remove_object(self._settings.bucket, self._name(sha256))

    def _name(self, sha256: str) -> str:
        return f"{self._settings.prefix}{sha256[:2]}/{sha256}"
