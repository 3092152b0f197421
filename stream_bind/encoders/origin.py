"""Where a published model's files come from: the publishers' addresses, a folder of copies, or the Hugging Face hub.

The hub is asked what a file is (revision, size, sha256); the bytes are moved by `download.py`, like all others.
Imports no torch.
"""

from __future__ import annotations

import logging
import os
import re
import time
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from stream_bind.encoders.catalogue import HUB, PublishedFile
from stream_bind.encoders.source import is_there
from stream_bind.errors import WeightsError

__all__ = ["Folder", "Hub", "Origin", "Publishers"]

SHA256 = re.compile(r"[0-9a-f]{64}")
"""The hub's tag of a large file is its sha256, that of a small one a git hash."""
ATTEMPTS = 3
"""At a hub that is busy."""
PAUSE_S = 2.0
TIMEOUT_S = 30.0


class Origin(Protocol):
    """Finds files."""

    @property
    def commit(self) -> str | None:
        """Commit of the hub that the files are of; empty for what has none; None before that is known."""

    def locate(self, file: PublishedFile) -> PublishedFile:
        """The same with the address to fetch it from, and what is known of size and digest. WeightsError.

        Where the .safetensors file that `file` would become is at hand, that one, which becomes nothing.
        """


class Publishers:
    """Each file at its own address."""

    commit = None

    def locate(self, file: PublishedFile) -> PublishedFile:
        return file


class Folder:
    """A folder of copies (https, http, file) under the names they have in the cache."""

    commit = ""

    def __init__(self, url: str, *, any_format: bool) -> None:
        """any_format: look for a .safetensors file before the checkpoint it would be made of."""
        self.url, self._any_format = url.rstrip("/"), any_format

    def locate(self, file: PublishedFile) -> PublishedFile:
        if file.becomes is not None and self._any_format and is_there(f"{self.url}/{file.becomes}"):
            return replace(file, name=file.becomes, url=f"{self.url}/{file.becomes}", becomes=None)
        return replace(file, url=f"{self.url}/{file.name}")


class Hub:
    """One repository of the Hugging Face hub, at one revision. HF_ENDPOINT names another hub."""

    def __init__(self, repository: str, revision: str = "main") -> None:
        """revision: branch, tag or commit. Resolved to a commit at the first question, and kept."""
        self.repository, self.revision = repository, revision
        self.commit: str | None = None
        self.endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
        if urlsplit(self.endpoint).scheme not in {"https", "http"}:
            raise WeightsError(f"HF_ENDPOINT={self.endpoint} is no address of a hub; wanted https://...")

    def locate(self, file: PublishedFile) -> PublishedFile:
        if not file.is_on_hub:
            return file
        folder, _, name = file.name.rpartition("/")
        if file.becomes is not None:
            safe = file.becomes.rpartition("/")[2]
            found = self._ask(safe)
            if found is not None:
                return self._described(replace(file, name=f"{folder}/{safe}", becomes=None), safe, found)
        found = self._ask(name)
        if found is None:
            other = f" nor {file.becomes.rpartition('/')[2]}" if file.becomes is not None else ""
            raise WeightsError(
                f"{self.repository} at revision {self.revision} has no {name}{other}; name another one with "
                "--revision, or a folder that holds the files with --url"
            )
        return self._described(file, name, found)

    def _described(self, file: PublishedFile, name: str, found: Any) -> PublishedFile:
        from huggingface_hub import hf_hub_url

        # A server that only looks like the hub may not name one.
        self.commit = self.revision = found.commit_hash or self.revision
        url = hf_hub_url(self.repository, name, revision=self.revision, endpoint=self.endpoint)
        sha256 = found.etag if found.etag and SHA256.fullmatch(found.etag) else None
        known = found.size is not None
        return replace(
            file, url=url, size_bytes=found.size if known else file.size_bytes, size_is_exact=known, sha256=sha256
        )

    def _ask(self, name: str) -> Any:
        """What the hub says of a file: its `HfFileMetadata`, or None if the repository does not have it."""
        # Nobody asked us to tell the hub what else runs here; and finding that out would cost a request of its own.
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(self.repository, name, revision=self.revision, endpoint=self.endpoint)
        # The HTTP library beneath tells of every request.
        logging.getLogger(errors.HTTPError.__module__.partition(".")[0]).setLevel(logging.WARNING)  # type: ignore[attr-defined]
        for attempt in range(ATTEMPTS):
            try:
                return get_hf_file_metadata(url, timeout=TIMEOUT_S, endpoint=self.endpoint, library_name="stream-bind")
            except errors.EntryNotFoundError:
                return None
            except errors.OfflineModeIsEnabled as error:
                raise self._error(
                    "is not asked while HF_HUB_OFFLINE is set; unset it, or name a folder that holds the files with "
                    "--url"
                ) from error
            except errors.RevisionNotFoundError as error:
                raise self._error(f"has no revision {self.revision}; `--revision main` takes the newest one") from error
            except (errors.GatedRepoError, errors.RepositoryNotFoundError) as error:
                raise self._error(
                    f"has no {self.repository} for everybody to read; name another source with --url"
                ) from error
            except errors.HfHubHTTPError as error:
                status = error.response.status_code if error.response is not None else 0
                busy = status == 429 or status >= 500
                if busy and attempt < ATTEMPTS - 1:
                    time.sleep(PAUSE_S * 2**attempt)
                    continue
                step = "run the same command again later" if busy else "check HF_ENDPOINT"
                raise self._error(f"answers {status} for {url}; {step}, or name another source with --url") from error
            except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]
                reason = (str(error) or type(error).__name__).splitlines()[0][:160]
                raise WeightsError(
                    f"{url}: cannot reach {urlsplit(url).netloc} ({reason}); check the network and the proxy "
                    "(https_proxy), name another hub with HF_ENDPOINT, or another source with --url"
                ) from error
        raise AssertionError("the last attempt returns or raises")

    def _error(self, what: str) -> WeightsError:
        return WeightsError(f"{self.repository}: the hub {self.endpoint} {what}")
