"""Where a number comes from: versions, commit, source, hardware; and no path of the machine in any of it."""

import functools
import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from anisotropy._util import paths


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of every direct dependency, those of the extras too, as installed."""
    project = tomllib.loads((paths.root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    brought = {name: texts for name, texts in project["optional-dependencies"].items() if name not in ("dev", "timm")}
    texts = {*project["dependencies"], *(text for texts in brought.values() for text in texts)}
    names = {re.match(r"[A-Za-z0-9._-]+", text)[0] for text in texts}
    found = {"python": platform.python_version(), "anisotropy": project["version"]}
    for name in sorted(names):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=paths.root(), capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def commit() -> dict[str, Any]:
    """Commit that is checked out, and whether the tree was clean apart from `figures/`, which a run itself writes.

    Both are None outside a git checkout.
    """
    head = _git("rev-parse", "HEAD")
    if head is None:
        return {"hash": None, "clean": None}
    status = _git("status", "--porcelain", "--", ".", ":(exclude)figures")
    return {"hash": head, "clean": None if status is None else status == ""}


@functools.cache
def hardware() -> dict[str, Any]:
    """Processor model, cores that this process may use, memory in GiB, GPU if torch sees one, operating system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"cpu": _cpu_model(), "cores": cores, "memory_gib": _memory(), "system": platform.system()}
    found["machine"] = platform.machine()
    found["gpu"] = _gpus() or None
    return found


def _gpus() -> list[str]:
    """Names of the GPUs: those that torch may use, or all of them in a process that has not imported torch."""
    try:
        if "torch" in sys.modules:
            cuda = sys.modules["torch"].cuda
            return [cuda.get_device_name(i) for i in range(cuda.device_count())]
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
        return [re.sub(r"^GPU \d+: | \(UUID.*$", "", line) for line in listed.splitlines()]
    except Exception:  # a driver at fault must not lose the result that this describes
        return []


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cpu_generation() -> str:
    """Family and model number of the processor, by which libraries choose their code."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    pairs = dict(tuple(part.strip() for part in line.partition(":")[::2]) for line in reversed(lines) if ":" in line)
    return f"family {pairs.get('cpu family', '?')}, model {pairs.get('model', '?')}"


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def made(device: str) -> dict[str, Any]:
    """What made a result, in plain values: commit, whether the tree was clean, versions, processor or GPU, UTC date."""
    return {**_made(device), "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


@functools.cache
def _made(device: str) -> dict[str, Any]:
    """As of the first call: the code that a process runs is that which it loaded, whatever is edited later."""
    here, machine = commit(), hardware()
    on = machine["cpu"] if device == "cpu" or not machine["gpu"] else machine["gpu"][0]
    found = {"commit": here["hash"], "clean": here["clean"], "device": device, "on": on}
    found["arithmetic"] = arithmetic() if device == "cpu" else "GPU"
    packages = {name: importlib.metadata.version(name) for name in ("torch", "numpy")}
    return found | {"python": platform.python_version(), **packages}


def arithmetic() -> str:
    """Vector instructions that torch uses, and the processor's generation: those of one name can round differently."""
    import torch

    used = torch.backends.cpu.get_cpu_capability() + (" with bfloat16" if has_bfloat16() else "")
    return f"{used}, {_cpu_generation()}"


def has_bfloat16() -> bool:
    """Whether the processor has bfloat16 arithmetic, and not only an imitation of it."""
    import torch

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fingerprint(*parts: bytes | memoryview | str) -> str:
    """SHA-256 of the parts, each delimited by its length so that no two lists of parts look alike."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


def library(folder: Path | None = None) -> str:
    """Fingerprint of the library's source and of the data committed with it."""
    folder = Path(folder or Path(__file__).resolve().parents[1])
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name[0] != "." and "__pycache__" not in p.parts)
    return fingerprint(*[part for p in files for part in (p.relative_to(folder).as_posix(), p.read_bytes())])


def neutral(value: Any) -> Any:
    """A parameter as it may be written down: an absolute path becomes relative to the root, or loses its folders.

    Works through lists and mappings; `/home/me/nets/a.pt` becomes `<path>/a.pt`.
    """
    if isinstance(value, dict):
        return {k: neutral(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [neutral(v) for v in value]
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        return value
    windows = PureWindowsPath(value)
    if value.startswith(("/", "~")):
        path = PurePosixPath(value)
        if path.is_relative_to(paths.root()):
            return path.relative_to(paths.root()).as_posix()
        return f"<path>/{path.name}"
    if windows.drive and windows.root:
        return f"<path>/{windows.name}"
    return scrub(value)


@functools.cache
def _machine_folders() -> tuple[tuple[str, str], ...]:
    pairs = {
        os.fspath(paths.root()): ".",
        sys.prefix: "<environment>",
        sys.base_prefix: "<python>",
        os.path.expanduser("~"): "<home>",
    }
    known = {k: v for k, v in pairs.items() if len(k) > 3}  # never "/" or "C:\"
    return tuple(sorted(known.items(), key=lambda pair: -len(pair[0])))


def scrub(text: str) -> str:
    """Text, such as a traceback, with this machine's folders replaced by what they are."""
    for folder, name in _machine_folders():
        text = re.sub(re.escape(folder) + r"(?![\w.-])", name, text)
    return text
