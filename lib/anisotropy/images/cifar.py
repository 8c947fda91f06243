"""Images to intervene on: CIFAR-10 from a download or from files, and digits that need no download."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from anisotropy._util import checks, extras, paths

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SPLITS = ("train", "test")

BINARY_FOLDER, PYTHON_FOLDER = "cifar-10-batches-bin", "cifar-10-batches-py"
FOLDERS = (BINARY_FOLDER, PYTHON_FOLDER)
BINARY_FILES = {
    "train": {
        "data_batch_1.bin": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
        "data_batch_2.bin": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
        "data_batch_3.bin": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
        "data_batch_4.bin": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
        "data_batch_5.bin": "26e2849e66a845b7f1e4614ae70f4889ae604628",
    },
    "test": {"test_batch.bin": "67eb016db431130d61cd03c7ad570b013799c88c"},
}
"""Files of the official binary version and their SHA-1."""

KNOWN = {
    ("train", 50_000): "3cd11120764116798310329d31a1f304",
    ("train", 10_000): "0a367d8515fc6ac8ddc02a8caa1d4ca9",
    ("train", 5_000): "c8a7050a6bfcf79704814563fa99d9c7",
    ("test", 10_000): "615f6a04bdd400fd5ab956b84ac411a0",
}
"""Split and number of images -> `fingerprint` of the official images, and of subsets of seed 0 that the record trains
on: so results on them are found where the images are not."""

DIGITS_TEST = 50
"""Digits of each class that make up the test set."""

THREE_WAYS = """CIFAR-10 can be provided in three ways:
  1. with a network connection, it is downloaded into the folder {root} by torchvision;
  2. unpack cifar-10-python.tar.gz there, so that {root}/cifar-10-batches-py holds data_batch_1 to 5 and test_batch;
  3. unpack cifar-10-binary.tar.gz there, so that {root}/cifar-10-batches-bin holds data_batch_1.bin to 5 and test_batch.bin.
Both archives are at https://www.cs.toronto.edu/~kriz/cifar.html. Without any, use the embedded digits."""  # noqa: E501


@dataclass(frozen=True)
class Source:
    """Which images: a small value that worker processes load by themselves, instead of being sent the pictures.

    Attributes:
        name: "cifar10" or "digits".
        root: folder of CIFAR-10, see `load`; relative paths start at the repository's root.
        train: number of training images, the same of each class up to one; None for all.
        test: number of test images; None for all.
        seed: which subset.
        download: whether CIFAR-10 may be downloaded.
    """

    name: str = "cifar10"
    root: str = "data/cifar10"
    train: int | None = None
    test: int | None = None
    seed: int = 0
    download: bool = True

    def __post_init__(self):
        if self.name not in ("cifar10", "digits"):
            raise ValueError(f"expected the images 'cifar10' or 'digits', got {self.name!r}")
        checks.folder(self.root, "root")
        for split in SPLITS:
            if getattr(self, split) is not None:
                checks.whole(getattr(self, split), f"the number of {split} images")

    def load(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images uint8 (n, 3, 32, 32) and labels int64 (n,) of "train" or "test"; kept in memory once read.

        Raises:
            ValueError: for an unknown split, a damaged file, or a subset larger than the set.
            FileNotFoundError: if CIFAR-10 is not there and cannot be downloaded.
        """
        images, labels = self._kept(split)
        return images.clone(), labels.clone()  # what is kept is not the caller's to change

    def _kept(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        return _subset(self, split)

    @property
    def spec(self) -> dict:
        """Name, numbers of images and hash of the content: what a result is filed under, wherever the files lie."""
        counts = {"train": self.train or 50_000, "test": self.test or 10_000}
        known = [KNOWN.get(split) for split in counts.items()]
        if self.name == "cifar10" and self.seed == 0 and None not in known and not self._there():
            return {"name": self.name, **counts, "sha256": known}
        return _spec(self.name, [self._kept(split) for split in SPLITS])

    def _there(self) -> bool:
        root = paths.resolve(self.root)
        return any(place.is_dir() for place in (root / BINARY_FOLDER, root / PYTHON_FOLDER)) or root.name in FOLDERS

    @property
    def form(self) -> tuple[tuple[int, int, int], int]:
        """Shape of an image and number of classes."""
        return (3, 32, 32), 10


@dataclass(frozen=True, eq=False)
class Tensors:
    """Images of the reader's own, in place of a `Source`.

    Attributes:
        name: what figures and tables call them.
        train: images uint8 (n, C, H, W) and labels int64 (n,), from 0 to the number of classes less one.
        test: likewise.
    """

    name: str
    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]

    def __post_init__(self):
        for split in SPLITS:
            part = getattr(self, split)
            if not isinstance(part, (tuple, list)) or len(part) != 2:
                raise ValueError(f"expected {split}=(images, labels), got {checks.described(part)}")
            images, labels = (
                checks.tensor(values, what) for values, what in zip(part, ("images", "labels"), strict=True)
            )
            if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
                raise ValueError(
                    f"expected {split} images as uint8 (n, C, H, W), n > 0, got {images.dtype} {tuple(images.shape)}; "
                    "(255 * images).round().to(torch.uint8) makes them of fractions"
                )
            if labels.dtype != torch.int64 or labels.shape != images.shape[:1] or int(labels.min()) < 0:
                raise ValueError(
                    f"expected {split} labels as int64 ({len(images)},), 0 or more, got {labels.dtype} "
                    f"{tuple(labels.shape)}; labels.long() converts whole numbers"
                )

    def load(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images and labels of "train" or "test"."""
        if split not in SPLITS:
            raise ValueError(f"expected a split out of {SPLITS}, got {split!r}")
        return getattr(self, split)

    @property
    def spec(self) -> dict:
        """As that of a `Source`."""
        return _spec(self.name, [self.train, self.test])

    @property
    def form(self) -> tuple[tuple[int, int, int], int]:
        """As that of a `Source`."""
        images, labels = self.train
        return tuple(images.shape[1:]), int(labels.max()) + 1


def _spec(name: str, parts: list[tuple[torch.Tensor, torch.Tensor]]) -> dict:
    return {
        "name": name,
        "train": len(parts[0][1]),
        "test": len(parts[1][1]),
        "sha256": [fingerprint(*part) for part in parts],
    }


@lru_cache(maxsize=4)
def _subset(source: Source, split: str):
    whole = load_digits(split) if source.name == "digits" else _whole(source.root, split, source.download)
    count = getattr(source, split)
    if count in (None, len(whole[1])):
        return whole
    chosen = stratified(whole[1], count, seed=source.seed)
    return whole[0][chosen], whole[1][chosen]


@lru_cache(maxsize=2)
def _whole(root: str, split: str, download: bool):
    return load(paths.resolve(root), split, download=download)


def load(root: Path | str, split: str, *, download: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Load CIFAR-10 (Krizhevsky, 2009).

    Args:
        root: the folder that holds `cifar-10-batches-bin` (binary version) or `cifar-10-batches-py` (torchvision's),
            or one of these two itself. Every file is checked against its published checksum before it is read.
        split: "train" (50,000) or "test" (10,000).
        download: fetch it with torchvision into `root` if neither is there.

    Returns:
        images: uint8 (n, 3, 32, 32).
        labels: int64 (n,), indices into `CLASSES`.

    Raises:
        ValueError: if a file is truncated or altered, or the split unknown.
        FileNotFoundError: if the data are not there and cannot be downloaded; the message names the three ways.
    """
    if split not in SPLITS:
        raise ValueError(f"expected the split 'train' or 'test', got {split!r}")
    root = Path(checks.folder(root, "root"))
    if root.name in FOLDERS:
        root = root.parent
    if (root / BINARY_FOLDER).is_dir():
        return _binary(root / BINARY_FOLDER, split)
    return _torchvision(root, split, download)


def _binary(folder: Path, split: str):
    records = []
    for name, digest in BINARY_FILES[split].items():
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"expected the file {path}, found none. {THREE_WAYS.format(root=folder.parent)}")
        content = path.read_bytes()
        found = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        if found != digest:
            raise ValueError(
                f"{path} is not the official file: expected 30,730,000 bytes with SHA-1 {digest}, got {len(content):,} "
                f"bytes with {found}; delete it and provide it again. {THREE_WAYS.format(root=folder.parent)}"
            )
        records.append(np.frombuffer(content, dtype=np.uint8).reshape(-1, 1 + 3 * 32 * 32))
    table = torch.from_numpy(np.concatenate(records))
    return table[:, 1:].reshape(-1, 3, 32, 32).contiguous(), table[:, 0].long()


def _torchvision(root: Path, split: str, download: bool):
    cifar10 = extras.needed("torchvision.datasets", "CIFAR-10").CIFAR10
    help_text = THREE_WAYS.format(root=root)
    try:  # torchvision checks every file's MD5 before it unpickles it
        data = cifar10(str(root), train=split == "train", download=False)
    except RuntimeError as missing:
        names = [name for name, _ in cifar10.train_list + cifar10.test_list]
        here = [name for name in names if (root / PYTHON_FOLDER / name).is_file()]
        if here and not download:
            raise ValueError(
                f"{root / PYTHON_FOLDER} is incomplete or altered: {len(here)} of {len(names)} files are there, and "
                f"not all have their published MD5. {help_text}"
            ) from missing
        if not download:
            raise FileNotFoundError(f"found no CIFAR-10 in {root}, and downloading is off. {help_text}") from missing
        try:
            data = cifar10(str(root), train=split == "train", download=True)
        except (OSError, RuntimeError) as error:  # no network, a read-only folder, a truncated archive
            raise FileNotFoundError(
                f"could not download CIFAR-10 into {root} ({type(error).__name__}: {error}). {help_text}"
            ) from error
    images = torch.from_numpy(np.ascontiguousarray(data.data.transpose(0, 3, 1, 2)))
    return images, torch.tensor(data.targets, dtype=torch.int64)


def load_digits(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Load the handwritten digits that scikit-learn carries, as pictures of CIFAR-10's shape: no download.

    The 1,797 pictures of 8 x 8 are enlarged to 32 x 32 (bilinear) and their grey repeated in three channels. They are
    a stand-in to run and test everything with; numbers on them say nothing about natural images.

    Args:
        split: "train" (1,297) or "test" (500, 50 of each class).

    Returns:
        images: uint8 (n, 3, 32, 32).
        labels: int64 (n,).

    Raises:
        ValueError: if the split is unknown.
    """
    embedded = extras.needed("sklearn.datasets", "the digits").load_digits
    if split not in SPLITS:
        raise ValueError(f"expected the split 'train' or 'test', got {split!r}")
    data = embedded()
    small = torch.from_numpy(data.images / 16).float()[:, None]  # grey in [0, 1]
    large = functional.interpolate(small, size=(32, 32), mode="bilinear", align_corners=False)
    images = (large * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)
    labels = torch.from_numpy(data.target).long()
    held_out = torch.zeros(len(labels), dtype=torch.bool)
    held_out[stratified(labels, 10 * DIGITS_TEST, seed=0)] = True
    chosen = held_out if split == "test" else ~held_out
    return images[chosen].contiguous(), labels[chosen]


def stratified(labels: torch.Tensor, count: int, *, seed: int = 0) -> torch.Tensor:
    """Choose `count` samples, the same number of each class up to one, in the order in which they stand.

    Args:
        labels: (n,) int64.
        count: how many.
        seed: which ones.

    Returns:
        Indices (count,), ascending.

    Raises:
        ValueError: if a class has too few.
    """
    classes = labels.unique()
    share = [count // len(classes) + (i < count % len(classes)) for i in range(len(classes))]
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for label, wanted in zip(classes, share, strict=True):
        members = (labels == label).nonzero().squeeze(1)
        if count < 1 or wanted > len(members):
            raise ValueError(
                f"expected a subset of 1 or more with at most {len(members)} images of class {int(label)}, got "
                f"{count:,} images, {wanted:,} of that class"
            )
        chosen.append(members[torch.randperm(len(members), generator=generator)[:wanted]])
    return torch.cat(chosen).sort().values


def to_unit(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 images as float32 in [0, 1]."""
    if images.dtype != torch.uint8:
        raise ValueError(f"expected uint8 images, got {images.dtype}")
    return images.float() / 255


def statistics(images: torch.Tensor) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and standard deviation of each channel of float images (n, C, H, W), in float64.

    What a channel of one colour scatters by rounding is no standard deviation: its is 1, so that normalising makes it 0
    (and not noise, or NaN).
    """
    channels = images.transpose(0, 1).flatten(1)
    mean = channels.mean(1, dtype=torch.float64)
    squares = torch.stack([(c.double() - m).square().mean() for c, m in zip(channels, mean, strict=True)])
    std = squares.sqrt()
    constant = std <= 1e-6 * channels.abs().amax(1).double()
    return tuple(mean.tolist()), tuple(torch.where(constant, 1.0, std).tolist())


def fingerprint(images: torch.Tensor, labels: torch.Tensor) -> str:
    """Return a hash of the content of images and labels."""
    digest = hashlib.sha256(repr((tuple(images.shape), str(images.dtype))).encode())
    digest.update(images.contiguous().numpy())
    digest.update(labels.contiguous().numpy())
    return digest.hexdigest()[:32]


def describe(source: Source | Tensors) -> str:
    """Return one line for people: name and sizes."""
    spec = source.spec
    return f"{source.name}: {spec['train']:,} training and {spec['test']:,} test images"
