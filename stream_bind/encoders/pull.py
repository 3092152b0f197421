"""Published models into the cache, and whether those that are there are still what they were.

torch is imported only where a checkpoint is converted or looked into.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream_bind.encoders.cache import Progress, hash_file, model_cache
from stream_bind.encoders.catalogue import PublishedFile, PublishedModel
from stream_bind.encoders.download import download, human_size, partial
from stream_bind.encoders.languagebind.config import CONFIG_FILE, read_config
from stream_bind.encoders.languagebind.published import PUBLISHED
from stream_bind.encoders.origin import Folder, Hub, Origin, Publishers
from stream_bind.encoders.receipt import Receipt, read_receipt
from stream_bind.errors import ConfigError, WeightsError
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
    """Record in the cache that the user agreed to the licence of `model`, or was shown one that asks for no more."""
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


def pull(
    model: PublishedModel,
    *,
    mirror: str | None,
    keep_original: bool,
    tell: Tell,
    watch: Watch,
    revision: str | None = None,
) -> None:
    """Bring every file of `model` into the cache; what is there and right stays. Raises WeightsError, ConfigError.

    The licence has to be accepted before. mirror: address of a folder (https, http, file) that holds the files under
    their own names; None takes the publishers'. keep_original: keep a checkpoint that was converted. revision: branch,
    tag or commit of a model on the hub; None keeps to the commit that was fetched before, or takes the newest.
    """
    if not licence_is_accepted(model):
        raise ValueError(f"the licence of {model.name} has not been accepted")
    folder = model_cache()
    origin = _origin(model, read_receipt(folder, model), mirror, revision)
    work = _Pull(model, folder, origin, keep_original, tell, watch)
    if revision is not None:
        work.locate(next(file for file in model.files if file.becomes is not None))
    for file in model.files:
        if file.becomes is None:
            work.plain(file)
        else:
            work.converted(file, file.becomes)


def _origin(model: PublishedModel, receipt: Receipt, mirror: str | None, revision: str | None) -> Origin:
    if revision is not None and model.repository is None:
        raise ConfigError(f"{model.name} has no revisions, it is not from the hub; leave --revision out")
    if revision is not None and mirror is not None:
        raise ConfigError("--revision is for the hub, a folder (--url) holds one revision; leave one of them out")
    if mirror is not None:
        return Folder(mirror, any_format=model.repository is not None)
    return Publishers() if model.repository is None else Hub(model.repository, revision or receipt.revision or "main")


@dataclass(slots=True)
class _Pull:
    model: PublishedModel
    folder: Path
    origin: Origin
    keep_original: bool
    tell: Tell
    watch: Watch
    located: dict[str, PublishedFile] = field(default_factory=dict)
    """What the origin said, by name."""

    @property
    def receipt(self) -> Receipt:
        return read_receipt(self.folder, self.model)

    def locate(self, file: PublishedFile) -> PublishedFile:
        """Where `file` is to be had. From here on files count as right only if they are of that revision."""
        if file.name not in self.located:
            self.located[file.name] = self.origin.locate(file)
            if self.origin.commit is not None:
                self.receipt.take_revision(self.origin.commit)
        return self.located[file.name]

    def plain(self, file: PublishedFile) -> None:
        if self._is_right(file.name, file):
            return
        self._fetch(self.locate(file))
        if file.name.endswith(f"/{CONFIG_FILE}"):
            self._check_config(self.folder / file.name, file)

    def _check_config(self, path: Path, file: PublishedFile) -> None:
        """WeightsError unless this describes the model: before gigabytes are fetched that are judged by it."""
        kind = PUBLISHED[self.model.name].config.kind
        try:
            found = read_config(path).kind
            if found != kind:
                raise WeightsError(f"{path}: describes a model of kind {found}, {self.model.name} is of kind {kind}")
        except WeightsError as error:
            path.unlink()
            self.receipt.forget(file.name)
            raise WeightsError(f"{error}; it is removed: name another source with --url") from error

    def converted(self, file: PublishedFile, name: str) -> None:
        """`file` as the .safetensors called `name`."""
        if self._is_right(name, file):
            return
        original = self.folder / file.name
        fetched = False
        if not self._is_right(file.name, file):
            found = self.locate(file)
            self._fetch(found)
            fetched = True
            if found.becomes is None:
                self._opened(self.folder / found.name, fetched=True)
                return
        checkpoint = self._opened(original, fetched=fetched)
        from stream_bind.encoders.convert import to_safetensors

        sha256 = to_safetensors(checkpoint, self.folder / name, self.watch(f"converting {file.name}"))
        self.receipt.record(name, self.folder / name, sha256, file.name)
        self.tell(f"{self.folder / name}: {len(checkpoint.shapes):,} tensors, sha256 {sha256}")
        if self.keep_original:
            return
        original.unlink()
        original.with_name(original.name + ".sha256.json").unlink(missing_ok=True)
        self.tell(f"{original}: removed, its tensors are in {Path(name).name} (--keep-original keeps it)")

    def _is_right(self, name: str, file: PublishedFile) -> bool:
        """Whether the cache holds `name` and it is sound. One that is neither ours nor fits is left to its owner."""
        path = self.folder / name
        if not path.is_file() or not self._is_of_the_revision(name, file):
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

    def _is_of_the_revision(self, name: str, file: PublishedFile) -> bool:
        """Whether `name` is of the commit that is wanted, or no other bytes are. True where nothing is known of it."""
        receipt = self.receipt
        record = receipt.files.get(name)
        if record is not None and record.source == file.name:
            name, record = file.name, receipt.files.get(file.name)
        if record is None or not receipt.revision or not file.is_on_hub:
            return True
        if f"/resolve/{receipt.revision}/" in record.source:
            return True
        found = self.locate(file)
        if found.name == name and found.sha256 == record.sha256:
            self.receipt.move(name, found.url)
            return True
        self.tell(f"{self.folder / name}: of another revision than {receipt.revision[:12]}, fetched anew")
        return False

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
                entry.cls.check_fit(checkpoint)
            for key in checkpoint.shapes:
                checkpoint.finite_tensor(key)
        except WeightsError:
            if fetched:
                path.unlink(missing_ok=True)
                self.receipt.forget(path.name)
            raise
        return checkpoint

    def _fetch(self, file: PublishedFile) -> None:
        known = file.sha256 is not None
        fetched = download(
            file.url,
            self.folder / file.name,
            size=file.size_bytes if known or file.size_is_exact else None,
            sha256=file.sha256,
            copies=1 if file.becomes is None else 2,
            progress=self.watch(f"fetching {file.name}"),
        )
        self.receipt.record(file.name, fetched.path, fetched.sha256, file.url, published=known)
        resumed = f", resumed at {human_size(fetched.resumed_at)}" if fetched.resumed_at else ""
        digest = "as published" if known else "recorded now, the publisher gives none to compare it with"
        self.tell(f"{fetched.path}: {human_size(fetched.size)}{resumed}, sha256 {fetched.sha256} ({digest})")


def _state(folder: Path, file: PublishedFile) -> FileState:
    for name in (file.becomes, file.name):
        if name is not None and (folder / name).is_file():
            return FileState(name, folder / name, "present", (folder / name).stat().st_size)
    path = folder / (file.becomes or file.name)
    for name in (file.name, file.becomes):
        part = partial(folder / name) if name is not None else path
        # A folder of the hub may hold the .safetensors itself.
        if name is not None and part.is_file():
            done = part.stat().st_size
            detail = f"{human_size(done)} of about {human_size(file.size_bytes)} fetched"
            return FileState(file.becomes or file.name, path, "partial", done, detail=detail)
    return FileState(file.becomes or file.name, path, "absent", file.size_bytes)


def _verified(folder: Path, name: str, file: PublishedFile, receipt: Receipt, watch: Watch) -> FileState:
    path, record = folder / name, receipt.files.get(name)
    size, sha256 = path.stat().st_size, hash_file(path, watch(f"reading {name}"))
    if name == file.name and file.sha256 is not None:
        wanted, origin = file.sha256, "as published"
    elif record is not None:
        told = "published" if record.published else "recorded"
        wanted, origin = record.sha256, f"as {told} at {record.at} from {record.source}"
    else:
        return FileState(
            name, path, "unrecorded", size, sha256, "not fetched by `models pull`: nothing to compare with"
        )
    if sha256 != wanted:
        return FileState(name, path, "wrong", size, sha256, f"sha256 {wanted[:12]} is wanted, found {sha256[:12]}")
    return FileState(name, path, "ok", size, sha256, origin)
