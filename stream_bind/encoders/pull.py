"""Published models into the cache, and whether those that are there are still what they were.

torch is imported only where a checkpoint is converted or looked into.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream_bind.encoders.cache import Progress, hash_file, model_cache
from stream_bind.encoders.catalogue import PublishedFile, PublishedModel
from stream_bind.encoders.download import download, human_size, partial
from stream_bind.encoders.receipt import Receipt, read_receipt
from stream_bind.errors import WeightsError
from stream_bind.registry import ENCODERS

if TYPE_CHECKING:
    from stream_bind.encoders.weights import Checkpoint

__all__ = ["FileState", "accept_licence", "licence_is_accepted", "pull", "states", "verify"]

Tell = Callable[[str], None]
"""Takes one line about what was done."""
Watch = Callable[[str], Progress]
"""Begins to show a long step, such as "fetching x"; what it returns is called with the bytes done."""


@dataclass(frozen=True, slots=True)
class FileState:
    """One file of a model, as found in the cache."""

    name: str
    path: Path
    status: str
    """list: present, partial, absent. verify: ok, unrecorded (nothing to compare with), wrong, absent."""
    size: int
    """Bytes on the disk; of an absent file, about how many it would have."""
    sha256: str | None = None
    """After verify()."""
    detail: str = ""


def licence_is_accepted(model: PublishedModel) -> bool:
    """Whether nothing stands in the way of fetching `model`."""
    return not model.licence.must_accept or read_receipt(model_cache(), model).licence == model.licence.name


def accept_licence(model: PublishedModel, how: str) -> None:
    """Record in the cache that the user agreed to the licence of `model`."""
    read_receipt(model_cache(), model).accept(model, how)


def states(model: PublishedModel) -> list[FileState]:
    """What is there of `model`, without reading it."""
    return [_state(model_cache(), file) for file in model.files]


def verify(model: PublishedModel, watch: Watch) -> list[FileState]:
    """Read every file of `model` from end to end and compare its digest with the published or the recorded one."""
    folder = model_cache()
    receipt = read_receipt(folder, model)
    found = []
    for file in model.files:
        names = [name for name in (file.becomes, file.name) if name is not None and (folder / name).is_file()]
        found += [_verified(folder, name, file, receipt, watch) for name in names] or [_state(folder, file)]
    return found


def pull(model: PublishedModel, *, mirror: str | None, keep_original: bool, tell: Tell, watch: Watch) -> None:
    """Bring every file of `model` into the cache; what is there and right stays. Raises WeightsError.

    The licence has to be accepted before. mirror: address of a folder (https, http, file) that holds the files under
    their own names; None takes the publishers'. keep_original: keep a checkpoint that was converted.
    """
    if not licence_is_accepted(model):
        raise ValueError(f"the licence of {model.name} has not been accepted")
    work = _Pull(model, model_cache(), mirror, keep_original, tell, watch)
    for file in model.files:
        if file.becomes is None:
            work.plain(file)
        else:
            work.converted(file, file.becomes)


@dataclass(slots=True)
class _Pull:
    model: PublishedModel
    folder: Path
    mirror: str | None
    keep_original: bool
    tell: Tell
    watch: Watch

    @property
    def receipt(self) -> Receipt:
        return read_receipt(self.folder, self.model)

    def plain(self, file: PublishedFile) -> None:
        if not self._is_right(file.name, file):
            self._fetch(file)

    def converted(self, file: PublishedFile, name: str) -> None:
        """`file` as the .safetensors called `name`."""
        if self._is_right(name, file):
            return
        original = self.folder / file.name
        fetched = False
        if not self._is_right(file.name, file):
            self._fetch(file)
            fetched = True
        checkpoint = self._opened(original, fetched=fetched)
        from stream_bind.encoders.convert import to_safetensors

        sha256 = to_safetensors(checkpoint, self.folder / name, self.watch(f"converting {file.name}"))
        self.receipt.record(name, self.folder / name, sha256, file.name)
        self.tell(f"{self.folder / name}: {len(checkpoint.shapes):,} tensors, sha256 {sha256}")
        if self.keep_original:
            return
        original.unlink()
        original.with_name(original.name + ".sha256.json").unlink(missing_ok=True)
        self.tell(f"{original}: removed, its tensors are in {name} (--keep-original keeps it)")

    def _is_right(self, name: str, file: PublishedFile) -> bool:
        """Whether the cache holds `name` and it is sound. One that is neither ours nor fits is left to its owner."""
        path = self.folder / name
        if not path.is_file():
            return False
        state = _verified(self.folder, name, file, self.receipt, self.watch)
        if state.status == "wrong":
            self.tell(f"{path}: damaged ({state.detail}), fetched anew")
            return False
        if state.status == "unrecorded":
            if file.becomes is not None:
                self._opened(path, fetched=False)
            self.receipt.record(name, path, str(state.sha256), "found in the cache")
        self.tell(f"{path}: {human_size(state.size)}, already there, sha256 {state.sha256}")
        return True

    def _opened(self, path: Path, *, fetched: bool) -> Checkpoint:
        """The checkpoint at `path`, of which every key fits and every value is finite. What was just fetched and is
        not so is removed."""
        from stream_bind.encoders.weights import Checkpoint

        step = "run the same command again, or name another source with --url"
        remedy = f"it is removed: {step}" if fetched else "move it away and run the same command again"
        try:
            checkpoint = Checkpoint(path, self.model.name, remedy)
            if self.model.encoder is not None:
                entry: Any = ENCODERS.get(self.model.encoder)
                entry.cls.check_fit(entry.config(model=self.model.encoder), checkpoint)
            for key in checkpoint.shapes:
                checkpoint.finite_tensor(key)
        except WeightsError:
            if fetched:
                path.unlink(missing_ok=True)
                self.receipt.forget(path.name)
            raise
        return checkpoint

    def _fetch(self, file: PublishedFile) -> None:
        url = file.url if self.mirror is None else f"{self.mirror.rstrip('/')}/{file.name}"
        known = file.sha256 is not None
        fetched = download(
            url,
            self.folder / file.name,
            size=file.size_bytes if known else None,
            sha256=file.sha256,
            copies=1 if file.becomes is None else 2,
            progress=self.watch(f"fetching {file.name}"),
        )
        self.receipt.record(file.name, fetched.path, fetched.sha256, url)
        resumed = f", resumed at {human_size(fetched.resumed_at)}" if fetched.resumed_at else ""
        digest = "as published" if known else "recorded now, the publisher gives none to compare it with"
        self.tell(f"{fetched.path}: {human_size(fetched.size)}{resumed}, sha256 {fetched.sha256} ({digest})")


def _state(folder: Path, file: PublishedFile) -> FileState:
    for name in (file.becomes, file.name):
        if name is not None and (folder / name).is_file():
            return FileState(name, folder / name, "present", (folder / name).stat().st_size)
    path = folder / (file.becomes or file.name)
    part = partial(folder / file.name)
    if part.is_file():
        done = part.stat().st_size
        detail = f"{human_size(done)} of about {human_size(file.size_bytes)} fetched"
        return FileState(path.name, path, "partial", done, detail=detail)
    return FileState(path.name, path, "absent", file.size_bytes)


def _verified(folder: Path, name: str, file: PublishedFile, receipt: Receipt, watch: Watch) -> FileState:
    path, record = folder / name, receipt.files.get(name)
    size, sha256 = path.stat().st_size, hash_file(path, watch(f"reading {name}"))
    if name == file.name and file.sha256 is not None:
        wanted, origin = file.sha256, "as published"
    elif record is not None:
        wanted, origin = record.sha256, f"as recorded at {record.at} from {record.source}"
    else:
        return FileState(
            name, path, "unrecorded", size, sha256, "not fetched by `models pull`: nothing to compare with"
        )
    if sha256 != wanted:
        return FileState(name, path, "wrong", size, sha256, f"sha256 {wanted[:12]} is wanted, found {sha256[:12]}")
    return FileState(name, path, "ok", size, sha256, origin)
