"""What a notebook was run from and what came of it: decides whether a result is still that of the same inputs."""

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from anisotropy._util import files, paths, provenance
from anisotropy.notebooks.declarations import Notebook

RECORD = "run.json"

HERE = Path(__file__).resolve().parents[1]  # the package

NOTE = "anisotropy-note"
"""Tag of the cell that is added to a running notebook, see `execution`; it is not kept."""


class PlanError(ValueError):
    """A run that cannot begin: a notebook, preset, dependency, folder or option at fault."""


@dataclass
class Step:
    """One notebook of a run: its parameters, where its results go, and the fingerprints of its inputs."""

    notebook: Notebook
    folder: Path
    parameters: dict[str, Any]
    inputs: dict[str, str] = field(default_factory=dict)  # apart from the modules that it loads
    stale: str = ""  # why it must run, empty where its result is that of the same inputs
    published: bool = False  # its outputs go into the notebook itself

    @property
    def name(self) -> str:
        """Name of the notebook."""
        return self.notebook.name

    @property
    def record(self) -> dict[str, Any]:
        """The record of the last successful run, {} where there is none or it is damaged."""
        try:
            found = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
            inputs, sums, modules = found["inputs"], found["sha256"], found.get("modules", [])
            texts = [*inputs.values(), *sums.values(), *modules]
            sound = isinstance(modules, list) and isinstance(found["seconds"], (int, float))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {}
        return found if sound and all(isinstance(text, str) for text in texts) else {}

    def executed(self, state: str = "") -> Path:
        """The executed copy: `<name>.ipynb`, or `<name>.failed.ipynb`, `<name>.running.ipynb` for these states."""
        return self.folder / f"{self.name}{'.' + state if state else ''}.ipynb"


def duration(seconds: float) -> str:
    """Seconds as a reader says them: `8 s`, `2 min 05 s`, `1 h 12 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def inputs(step: Step) -> dict[str, str]:
    """Fingerprints of what changes a notebook's result, by what to call it in a message; see `_now` for modules."""
    return {
        "notebook": step.notebook.code,
        "parameters": provenance.fingerprint(json.dumps(step.parameters, sort_keys=True)),
        "published data": _published(step.parameters),
        "versions": provenance.fingerprint(json.dumps(provenance.versions(), sort_keys=True)),
        "shipped NADs": provenance.fingerprint(*[path.read_bytes() for path in sorted(HERE.rglob("*.safetensors"))]),
    }


def _now(step: Step) -> dict[str, str]:
    """Fingerprints of the source files that the last run loaded: of the library, and the reader's own.

    A module that it did not load cannot have changed its result; packages that are installed count by their versions.
    """
    folder, modules = step.notebook.path.parent, step.record.get("modules", [])
    return {_called(module, step.parameters): _checksum(_source(module, folder)) for module in modules}


def _published(parameters: Mapping[str, Any]) -> str:
    """Fingerprint of the names and sizes of the files in the folder of published data, if a notebook takes one.

    Other folders that parameters name, such as a sweep's store, are written by the run itself: they are no input.
    """
    folder = parameters.get("published")
    if not isinstance(folder, str) or not folder:
        return ""
    path = paths.resolve(folder)
    found = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    return provenance.fingerprint(*[f"{p.relative_to(path).as_posix()}:{p.stat().st_size}" for p in found])


def _called(module: str, parameters: Mapping[str, Any]) -> str:
    """What to call a module: as the parameters do, `mine:net`, where one of them names something in it."""
    named = [text for text in _texts(list(parameters.values())) if text.startswith(f"{module}:")]
    return named[0] if named else module


def _source(module: str, folder: Path) -> Path:
    """Source file of a module, found without importing it or the packages around it; a path that is not there if gone.

    Args:
        module: its full name.
        folder: of the notebook, which a kernel searches too.
    """
    search = [str(HERE.parent), str(folder), str(paths.root()), *sys.path]
    spec, name = None, ""
    for part in module.split("."):
        name = f"{name}.{part}".lstrip(".")
        spec = PathFinder.find_spec(name, search)
        if spec is None:
            break
        search = list(spec.submodule_search_locations or [])
    return Path(spec.origin if spec and spec.origin else "gone")


def why_stale(step: Step) -> str:
    """Why a step must run, or an empty text where its result is there and its inputs are the same."""
    record = step.record
    if not record:
        if (step.folder / RECORD).exists():
            return f"damaged: {RECORD}"
        return "interrupted before" if step.executed("running").exists() else "not done yet"
    known, now = record["inputs"], step.inputs | _now(step)
    changed = [name for name in {**now, **known} if now.get(name) != known.get(name)]
    if changed:
        return f"changed: {', '.join(changed)}"
    found = {name: _checksum(step.folder / name) for name in record["sha256"]}
    gone = [name for name, checksum in found.items() if not checksum]
    if gone:
        return f"missing: {', '.join(gone)}"
    damaged = [name for name, checksum in record["sha256"].items() if found[name] != checksum]
    return f"damaged: {', '.join(damaged)}" if damaged else ""


def _checksum(path: Path) -> str:
    """SHA-256 of a file; of text with its line ends as git may have changed them; "" where it is empty or not there."""
    try:
        content = path.read_bytes()
    except OSError:
        return ""
    if path.suffix in (".csv", ".ipynb", ".json", ".py", ".svg"):
        content = content.replace(b"\r\n", b"\n")
    return hashlib.sha256(content).hexdigest() if content or path.suffix == ".py" else ""


def finish(step: Step, *, began: float, note: Mapping[str, Any] | None) -> None:
    """Put the executed copy in its place without machine paths and, after a success, write the record.

    Args:
        step: what was run.
        began: `time.time()` at the start.
        note: `modules` that were loaded, name -> file, and `cpu_seconds` of the kernel and its workers, which a busy
            machine does not stretch; None after a failure: the copy then goes beside an earlier good one, which stays.

    Raises:
        OSError: the disk is full or the folder read-only.
    """
    running = step.executed("running")
    if running.exists():
        content = _without_machine(running.read_text(encoding="utf-8"), step.parameters)
        if step.published and note is not None:
            _publish(content, step.notebook.path)
        else:
            files.write(step.executed("failed" if note is None else ""), content)
        running.unlink()
    if note is None:
        return
    step.executed("failed").unlink(missing_ok=True)
    written = [p for p in step.folder.iterdir() if p.is_file() and not p.name.startswith(".") and p.name != RECORD]
    outputs = sorted(p.name for p in written if p.stat().st_mtime >= began - 2)
    record = {
        "notebook": step.name,
        "parameters": provenance.neutral(step.parameters),
        "seconds": round(time.time() - began, 1),
        "cpu_seconds": note["cpu_seconds"],
        "outputs": outputs,
        "sha256": {name: _checksum(step.folder / name) for name in outputs},
        "inputs": step.inputs | _loaded(note["modules"], step.parameters, began),
        "modules": sorted(note["modules"]),
        "versions": provenance.versions(),
        "commit": provenance.commit(),
        "hardware": provenance.hardware(),
    }
    files.write_json(step.folder / RECORD, record)


def _publish(executed: str, path: Path) -> None:
    """Put the outputs of an executed copy into the notebook itself."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    outputs = {cell.get("id"): cell.get("outputs", []) for cell in json.loads(executed)["cells"]}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, 1):
        cell["outputs"], cell["execution_count"] = _joined(outputs[cell["id"]]), number
        for output in (o for o in cell["outputs"] if "execution_count" in o):
            output["execution_count"] = number
    files.write(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


def _joined(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Outputs with what was printed in one piece: kernels send it in pieces, each time in others."""
    found: list[dict[str, Any]] = []
    for output in outputs:
        before = found[-1] if found else {}
        if output["output_type"] == "stream" and output.get("name") == before.get("name"):
            before["text"] = "".join([*before["text"], *output["text"]]).splitlines(keepends=True)
        else:
            found.append(output)
    return found


def _loaded(modules: Mapping[str, str], parameters: Mapping[str, Any], began: float) -> dict[str, str]:
    """Fingerprints of the files that a run loaded; one that was edited meanwhile may not be what it loaded."""
    found = {}
    for module, file in sorted(modules.items()):
        path = Path(file)
        edited = path.exists() and path.stat().st_mtime >= began
        found[_called(module, parameters)] = "edited during the run" if edited else _checksum(path)
    return found


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in _texts(v)] if isinstance(value, list) else [value] * isinstance(value, str)


def _without_machine(text: str, parameters: Mapping[str, Any]) -> str:
    """An executed notebook as it is kept: no paths of this machine, and without the cell that took the note."""
    notebook = json.loads(text)
    notebook["cells"] = [cell for cell in notebook["cells"] if NOTE not in cell["metadata"].get("tags", [])]
    for name in ("input_path", "output_path"):
        notebook["metadata"].get("papermill", {}).pop(name, None)
    named = {given: provenance.neutral(given) for given in _texts(list(parameters.values()))}
    named = {given: written for given, written in named.items() if given != written}

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: walk(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [walk(v, key) for v in value]
        if isinstance(value, str) and not key.startswith("image/"):  # base64
            for given, written in named.items():
                value = value.replace(given, written)
            return provenance.scrub(value)
        return value

    return json.dumps(walk(notebook), indent=1, ensure_ascii=False) + "\n"
