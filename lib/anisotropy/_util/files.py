"""Files that are there completely or not at all."""

import errno
import json
import math
import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np


def write(path: Path, content: bytes | str, *, prefix: str | None = None, suffix: str = ".partial") -> None:
    """Write a file atomically: a reader, or a run after a crash, sees the old content or the new one.

    Args:
        path: where to; its folder is made.
        content: what.
        prefix: how the temporary neighbour's name begins, a dot and the file's name if None.
        suffix: how it ends.

    Raises:
        OSError: the disk is full or the folder read-only; the message names the file and says what to do, and what was
            there is kept.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.parent / f"{prefix or f'.{path.name}.'}{secrets.token_hex(6)}{suffix}"
        with open(name, "xb") as stream:  # a new file, which who may read the user's umask says
            temporary = name
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        if not isinstance(error, OSError):
            raise
        message = f"could not write {path}: {error.strerror}; what was there before is unchanged{advice(error)}"
        raise OSError(error.errno, message) from error


def advice(error: OSError) -> str:
    """What to do about a file that could not be written, as the end of a sentence; empty where that is not known."""
    full, forbidden = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), (errno.EROFS, errno.EACCES, errno.EPERM)
    if error.errno in full:
        return ". Free some space there, or name a folder on another disk"
    if error.errno in forbidden:
        return ". Make the folder writable, or name another one"
    if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST):
        return ". A file lies where a folder should be, or the other way round: move it, or choose another name"
    if error.errno == errno.ENAMETOOLONG:
        return ". Choose a shorter name"
    return ""


def clean(folder: Path) -> int:
    """Remove what killed writers left in a folder in which nobody writes now; return how many files."""
    left = [path for path in Path(folder).glob(".*.partial") if path.is_file()]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def plain(value: Any) -> Any:
    """Value as JSON can hold it: arrays and tensors as lists, numbers as numbers, NaN and infinities as text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    elif hasattr(value, "__array__") and not isinstance(value, (np.ndarray, np.generic)):
        value = np.asarray(value)
    if isinstance(value, np.ndarray) and value.ndim:
        return [plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        # str() of a float32 is its shortest decimal; its conversion to Python's float would print seven digits too many
        value = float(str(value)) if isinstance(value.item(), float) else value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"expected numbers, text, arrays or containers of them, got {type(value).__name__}")


def write_json(path: Path, content: Any) -> None:
    """Write plain values as indented JSON, atomically; long lists of numbers stay on one line."""
    write(path, dumps(plain(content)) + "\n")


def dumps(content: Any, indent: str = "") -> str:
    """JSON with one line per entry of a mapping and lists of plain values on one line."""
    inner = indent + "  "
    if isinstance(content, dict) and content:
        rows = [f"{inner}{json.dumps(k)}: {dumps(v, inner)}" for k, v in content.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(content, list) and any(isinstance(v, (list, dict)) and v for v in content):
        return "[\n" + ",\n".join(inner + dumps(v, inner) for v in content) + f"\n{indent}]"
    return json.dumps(content, allow_nan=False, ensure_ascii=False)
