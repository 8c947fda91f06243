import hashlib
import os
import pickle
import urllib.error

import numpy as np
import pytest
import torch
from anisotropy.images import arms, cifar
from torchvision.datasets import CIFAR10


@pytest.fixture
def pictures():
    """Made-up CIFAR-10: per file 20 labels and pictures."""
    rng = np.random.default_rng(0)
    names = [*cifar.BINARY_FILES["train"], *cifar.BINARY_FILES["test"]]
    return {name: (rng.permutation(20) % 10, rng.integers(0, 256, (20, 3072), dtype=np.uint8)) for name in names}


@pytest.fixture
def binary(tmp_path, pictures, monkeypatch):
    """A folder in the layout of the binary version, whose checksums the module is made to expect."""
    folder = tmp_path / cifar.BINARY_FOLDER
    folder.mkdir()
    expected = {"train": {}, "test": {}}
    for name, (labels, rows) in pictures.items():
        content = np.concatenate([labels[:, None].astype(np.uint8), rows], axis=1).tobytes()
        (folder / name).write_bytes(content)
        split = "test" if name.startswith("test") else "train"
        expected[split][name] = hashlib.sha1(content).hexdigest()
    monkeypatch.setattr(cifar, "BINARY_FILES", expected)
    return tmp_path


@pytest.fixture
def python(tmp_path, pictures, monkeypatch):
    """A folder in torchvision's layout, with its checksums."""
    folder = tmp_path / cifar.PYTHON_FOLDER
    folder.mkdir()
    lists = {"train_list": [], "test_list": []}

    def add(name, content):
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    for name, (labels, rows) in pictures.items():
        stem = name.removesuffix(".bin")
        kind = "test_list" if stem == "test_batch" else "train_list"
        lists[kind].append([stem, add(stem, {"data": rows, "labels": labels.tolist()})])
    meta = add("batches.meta", {"label_names": list(cifar.CLASSES)})
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": meta})
    for kind, entries in lists.items():
        monkeypatch.setattr(CIFAR10, kind, entries)
    return tmp_path


def test_both_layouts_give_the_pictures_and_labels_that_were_written(binary, python, pictures):
    loaded = {}
    for folder in (cifar.BINARY_FOLDER, cifar.PYTHON_FOLDER):
        alone = binary / folder / ".."  # the folder above holds both: pick one by hiding the other
        (binary / cifar.BINARY_FOLDER).rename(binary / "hidden") if folder == cifar.PYTHON_FOLDER else None
        loaded[folder] = [cifar.load(alone, split, download=False) for split in cifar.SPLITS]
    (images, labels), (test_images, test_labels) = loaded[cifar.BINARY_FOLDER]
    assert images.shape == (100, 3, 32, 32)
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
    first = pictures["data_batch_1.bin"]
    assert labels[:20].tolist() == first[0].tolist()
    assert images[3, 1, 2, 5] == int(first[1][3, 1024 + 2 * 32 + 5])  # row-major planes, red first
    for a, b in zip(*loaded.values(), strict=True):
        assert torch.equal(a[0], b[0])
        assert torch.equal(a[1], b[1])
    assert len(test_images) == len(test_labels) == 20


def test_the_folder_of_the_files_may_be_named_itself(binary):
    assert len(cifar.load(binary / cifar.BINARY_FOLDER, "test")[1]) == 20


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_binary_file_is_refused(binary, damage):
    path = binary / cifar.BINARY_FOLDER / "data_batch_3.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content if damage == "altered" else content[:-10])
    with pytest.raises(ValueError, match=r"(?s)data_batch_3\.bin is not the official file.*three ways"):
        cifar.load(binary, "train")
    assert len(cifar.load(binary, "test")[1]) == 20  # the other split is intact


def test_a_missing_binary_file_is_named(binary):
    (binary / cifar.BINARY_FOLDER / "test_batch.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"(?s)test_batch\.bin.*three ways"):
        cifar.load(binary, "test")


def test_an_altered_python_file_is_refused_and_never_unpickled(python):
    class Bomb:
        def __reduce__(self):
            return os._exit, (1,)

    (python / cifar.PYTHON_FOLDER / "data_batch_2").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"(?s)incomplete or altered.*three ways"):
        cifar.load(python, "train", download=False)


def test_without_data_and_without_network_the_three_ways_are_named(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", offline)
    with pytest.raises(FileNotFoundError, match=r"(?s)could not download.*no network.*three ways"):
        cifar.load(tmp_path, "train")
    with pytest.raises(FileNotFoundError, match=r"(?s)downloading is off.*three ways"):
        cifar.load(tmp_path, "train", download=False)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(FileNotFoundError, match=r"(?s)could not download CIFAR-10 into .*three ways"):
        cifar.load(blocked / "below", "train")


def test_a_download_is_loaded(tmp_path, python, monkeypatch):
    """The normal route: torchvision fetches and unpacks, here by a rename."""
    ready = python / cifar.PYTHON_FOLDER
    hidden = ready.rename(python / "archive")
    calls = []

    def fetch(url, root, **kwargs):
        calls.append(url)
        hidden.rename(ready)

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", fetch)
    assert len(cifar.load(python, "train")[1]) == 100
    assert calls == [CIFAR10.url]
    assert len(cifar.load(python, "test")[1]) == 20
    assert len(calls) == 1


def test_digits_are_pictures_of_cifars_shape_without_a_shared_sample():
    train, test = (cifar.load_digits(split) for split in cifar.SPLITS)
    assert train[0].shape == (1297, 3, 32, 32)
    assert test[1].bincount().tolist() == [50] * 10
    assert torch.equal(train[0][:, 0], train[0][:, 2])
    assert train[0].max() == 255
    known = {picture.numpy().tobytes() for picture in train[0]}
    assert sum(picture.numpy().tobytes() in known for picture in test[0]) == 0


def test_subsets_are_stratified_repeatable_and_checked():
    labels = torch.arange(100) % 7
    chosen = cifar.stratified(labels, 30, seed=1)
    counts = labels[chosen].bincount()
    assert int(counts.max() - counts.min()) <= 1
    assert len(chosen.unique()) == 30
    assert torch.equal(chosen, cifar.stratified(labels, 30, seed=1))
    assert not torch.equal(chosen, cifar.stratified(labels, 30, seed=2))
    with pytest.raises(ValueError, match="at most 14 images of class 2"):
        cifar.stratified(labels, 104)


def test_a_source_is_filed_under_its_content(binary):
    source = cifar.Source(root=str(binary), train=30, test=10)
    assert len(source.load("train")[1]) == 30
    assert source.spec["train"] == 30
    assert source.spec == cifar.Source(root=str(binary / cifar.BINARY_FOLDER), train=30, test=10).spec
    assert source.spec["sha256"] != cifar.Source(root=str(binary), train=30, test=10, seed=1).spec["sha256"]
    with pytest.raises(ValueError, match="'cifar10' or 'digits'"):
        cifar.Source("imagenet")


def test_statistics_are_those_of_numpy():
    images = torch.rand(7, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    mean, std = cifar.statistics(images)
    assert np.allclose(mean, images.double().numpy().mean((0, 2, 3)))
    assert np.allclose(std, images.double().numpy().std((0, 2, 3)))
    with pytest.raises(ValueError, match="uint8"):
        cifar.to_unit(images)


def test_what_is_kept_in_memory_is_not_the_caller_s_to_change():
    source = cifar.Source("digits", test=50)
    before = source.load("test")[0].clone()
    source.load("test")[0].zero_()
    assert torch.equal(source.load("test")[0], before)


@pytest.mark.parametrize("value", [0.0, 0.1, 200 / 255])
def test_a_channel_of_one_colour_is_normalised_to_zero(value):
    """Tenths are no binary fractions: their mean, and so what they scatter about it, is rounded."""
    images = torch.rand(500, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images[:, 1] = value
    images, labels = (255 * images).round().to(torch.uint8), torch.arange(500) % 2
    source = cifar.Tensors("flat", train=(images, labels), test=(images, labels))
    made = arms.prepare(arms.clean(), source).train[0]
    assert bool(torch.isfinite(made).all())
    assert float(made[:, 1].abs().max()) < 1e-5
    assert torch.allclose(made.std((0, 2, 3)), torch.tensor([1.0, 0.0, 1.0]), atol=1e-3)
