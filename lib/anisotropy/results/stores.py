"""A folder of results, one checked JSON file per unit of work, safe against kills and against two writers at once."""

import hashlib
import json
import os
import socket
from contextlib import suppress
from pathlib import Path

from anisotropy._util import files, paths

FRESH = "fresh"
"""Folder within a store for what is computed without looking at earlier results, see `paths.fresh`."""

USED: dict[str, dict] = {}
"""Results that this process has asked for, by key, whether computed now or found: for passports."""


def digest(fields: dict) -> str:
    """Return the key of plain values: 32 hexadecimal digits that change when any of them does.

    Args:
        fields: what the result depends on; numbers, strings, lists and dicts of them.

    Returns:
        The key.

    Example:
        >>> digest({"a": 1, "b": 0.5}) == digest({"b": 0.5, "a": 1}) != digest({"a": 2, "b": 0.5})
        True
    """
    return hashlib.sha256(_text(fields).encode()).hexdigest()[:32]


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, through a temporary that names this process, for `Store.clean` to find.

    Args:
        path: where to; its folder is made.
        content: what.
    """
    files.write(path, content, prefix=f".{_me()}.", suffix=".tmp")


class Store:
    """Results of units of work under `folder`, one file each, named by the key of what the result depends on.

    A file holds the fields that make up its key, the result, and a checksum of both. One that is damaged, or whose
    content does not belong under its name, counts as missing and is replaced.

    Args:
        folder: made when the first result is written.

    Where `paths.fresh` says so, a store of its own within the folder stands in for it.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder) / FRESH if paths.fresh() else Path(folder)

    def path(self, key: str) -> Path:
        """Return where the result of a key lies."""
        return self.folder / key[:2] / f"{key}.json"

    def checkpoint(self, key: str) -> Path:
        """Return where the unit of a key may keep the state of a computation that is not over."""
        return self.path(key).with_suffix(".checkpoint")

    def read(self, key: str) -> dict | None:
        """Return the result stored under a key, or None if there is none that is intact."""
        try:
            record = self.record(key)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return record["result"]

    def record(self, key: str) -> dict:
        """Return all that is stored under a key: fields, result, and what made it where that is known.

        Raises:
            OSError: there is no such file.
            ValueError: or KeyError, TypeError: it is damaged, or belongs under another key.
        """
        record = json.loads(self.path(key).read_text(encoding="utf-8"))
        parts = [record[name] for name in ("fields", "result", "made") if name != "made" or "made" in record]
        if record["sha256"] != _checksum(*parts) or digest(record["fields"]) != key:
            raise ValueError(f"{self.path(key)} is damaged, or its content belongs under another key")
        return record

    def write(self, fields: dict, result: dict, made: dict | None = None) -> str:
        """Store a result under the key of its fields, delete the key's checkpoint, and return the key.

        Args:
            fields: what the result depends on.
            result: the numbers.
            made: what made them, see `provenance.made`; no part of the key.
        """
        key = digest(fields)
        parts = {"fields": fields, "result": result} | ({} if made is None else {"made": made})
        record = parts | {"sha256": _checksum(*parts.values())}
        write_atomically(self.path(key), (json.dumps(record, allow_nan=False, sort_keys=True) + "\n").encode())
        self.checkpoint(key).unlink(missing_ok=True)
        return key

    def check(self) -> None:
        """Write and remove a file of 64 KiB, so that a store that cannot hold results is found before computing them.

        Raises:
            OSError: the disk is full or the folder read-only; the message says what to do.
        """
        path = self.folder / f".{_me()}.probe.tmp"
        try:
            write_atomically(path, b" " * 2**16)
        except OSError as error:
            text = f"cannot keep results in {self.folder}: {os.strerror(error.errno)}; nothing new was computed"
            raise OSError(error.errno, text + files.advice(error)) from error
        path.unlink(missing_ok=True)

    def clean(self) -> int:
        """Remove temporary files that a killed process of this machine left; return how many."""
        removed = 0
        for temporary in self.folder.glob("**/.*.tmp"):
            host, _, process = temporary.name.split(".")[1].rpartition("-")
            if host == _host() and process.isdigit() and not _alive(int(process)):
                with suppress(OSError):  # a read-only store can still be read from
                    temporary.unlink(missing_ok=True)
                    removed += 1
        return removed


def _text(value) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _checksum(*parts) -> str:
    return hashlib.sha256(_text(list(parts)).encode()).hexdigest()


def _host() -> str:
    return socket.gethostname().replace(".", "_").replace("-", "_")


def _me() -> str:
    return f"{_host()}-{os.getpid()}"


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
