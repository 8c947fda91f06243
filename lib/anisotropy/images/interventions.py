"""Interventions on images along a basis: poison one direction, flip, permute or sign all, rotate (Section 4.2).

Images are (n, C, H, W) floats. A basis is (D, 1, H, W), used on every channel by itself, or (D, C, H, W); its rows are
orthonormal. All functions are pure, on the device and in the dtype of the images.
"""

import numpy as np
import torch
from scipy import sparse
from scipy.optimize import linprog

from anisotropy._util import checks

NUMERICS = 1
"""Version of the numbers that these functions make; sweeps do not reuse results of another version."""

ERASED = ("own", "none", "all")
"""What `poison` can take away before it adds the carrier."""

CHUNK = 4096
"""Images transformed at a time, so that the coefficients of a whole data set never lie beside it in memory."""


def carriers(basis: torch.Tensor, index: int, *, classes: int, channels: int) -> torch.Tensor:
    """Return one signed, unit-norm carrier picture per class, coded as in the released code.

    Each direction carries two classes with opposite signs; one that belongs to single channels does so in each. For
    three channels class t has direction index + t // 6, channel t mod 3, and the sign - for even t, + for odd t. With a
    basis of colour pictures it has direction index + t // 2 and the same sign.

    Args:
        basis: (K, 1, H, W), used in each channel by itself, or (K, C, H, W); unit norm.
        index: of the first direction, the carriers' position in the order of the NADs.
        classes: number of classes, T.
        channels: number of channels of the images, C.

    Returns:
        (T, C, H, W), orthogonal to each other or opposite.

    Raises:
        ValueError: if the basis has another number of channels, or fewer directions than the classes need.
    """
    basis = checks.directions(basis, "a basis (K, C, H, W)")
    channels = checks.whole(channels, "channels")
    if basis.ndim != 4 or basis.shape[1] not in (1, channels):
        raise ValueError(
            f"expected a basis (K, 1, H, W) or (K, {channels}, H, W) for images of {channels} channels, got "
            f"{tuple(basis.shape)}"
        )
    classes, index = checks.whole(classes, "classes", 2), checks.whole(index, "index", 0)
    places = channels if basis.shape[1] == 1 else 1  # at which each direction stands
    needed = -(-classes // (2 * places))  # directions
    if not 0 <= index <= len(basis) - needed:
        raise ValueError(
            f"expected an index from 0 to {len(basis) - needed} ({classes} classes in {channels} channels take "
            f"{needed} of {len(basis)} directions), got index {index}"
        )
    norms = basis[index : index + needed].double().flatten(1).norm(dim=1)
    if not bool(((norms - 1).abs() < 1e-3).all()):  # so that NaN is wrong
        raise ValueError(
            f"expected directions of unit norm for carriers, got norms {[round(float(n), 4) for n in norms]}"
        )
    pictures = basis.new_zeros(classes, channels, *basis.shape[2:])
    for t in range(classes):
        # with an even number of places the parity of t belongs to the place, so the round counts as well
        odd = t % 2 if places % 2 else (t + t // places) % 2
        signed = (1 if odd else -1) * basis[index + t // (2 * places)]
        if places > 1:
            pictures[t, t % places] = signed[0]
        else:
            pictures[t] = signed
    return pictures


def poison(
    images: torch.Tensor,
    labels: torch.Tensor,
    basis: torch.Tensor,
    index: int,
    epsilon: float,
    *,
    classes: int = 10,
    erase: str = "own",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write each image's class into one direction: its coefficient along its class's carrier becomes epsilon (Fig. 7).

    All other coefficients stay. In the released code images are in [0, 1] and epsilon is 0.05; only the training set
    is poisoned. There, which coefficient of an image is missing tells its class as well, however small epsilon is; so
    `erase` says what is taken away before epsilon times the carrier is added.

    Args:
        images: (n, C, H, W).
        labels: (n,) int64, below `classes`.
        basis: (K, 1, H, W) or (K, C, H, W), unit norm.
        index: position of the carriers, see `carriers`.
        epsilon: the new coefficient, positive.
        classes: number of classes.
        erase: "own", the coefficient along the carrier of the image's class, as in the released code; "none", so that
            nothing is missing; "all", the coefficients along the carriers of all classes, so that the carriers alone
            make the set linearly separable for any epsilon.

    Returns:
        images: (n, C, H, W), poisoned copies; values may leave [0, 1].
        carriers: (classes, C, H, W).

    Raises:
        ValueError: if shapes or values do not fit.
    """
    check_images(images)
    checks.tensor(labels, "labels")
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(f"expected int64 labels ({len(images)},), got {labels.dtype} {tuple(labels.shape)}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"expected labels from 0 to {classes - 1}, got {int(labels.min())} to {int(labels.max())}")
    if not checks.number(epsilon, "epsilon") > 0:
        raise ValueError(f"expected a positive epsilon, got {epsilon}")
    if erase not in ERASED:
        raise ValueError(f"expected what to erase out of {ERASED}, got {erase!r}")
    basis = checks.directions(basis, "a basis")
    _check_size(images, basis)
    pictures = carriers(basis.to(images), index, classes=classes, channels=images.shape[1])
    poisoned = torch.empty_like(images)
    for part, own, out in zip(images.split(CHUNK), labels.split(CHUNK), poisoned.split(CHUNK), strict=True):
        mine = pictures[own]
        if erase != "own":
            torch.add(part - project(part, pictures) if erase == "all" else part, mine, alpha=epsilon, out=out)
            continue
        coefficients = (part * mine).flatten(1).sum(1)
        torch.add(part, (epsilon - coefficients).view(-1, 1, 1, 1) * mine, out=out)
    return poisoned, pictures


def project(images: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Return what of the images lies in the span of some pictures, such as carriers.

    Args:
        images: (n, C, H, W).
        pictures: (T, C, H, W), any.

    Returns:
        (n, C, H, W), the orthogonal projections.
    """
    check_images(images)
    if checks.tensor(pictures, "pictures").ndim != 4 or pictures.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"expected pictures (T, {', '.join(map(str, images.shape[1:]))}) like the images, got "
            f"{tuple(pictures.shape)}"
        )
    u, s, _ = torch.linalg.svd(pictures.flatten(1).double().T, full_matrices=False)
    span = u[:, s > 1e-6 * s.max()].to(images)  # (C H W, rank); opposite carriers span one direction
    return ((images.flatten(1) @ span) @ span.T).view_as(images)


def separable(coefficients: torch.Tensor, labels: torch.Tensor) -> bool:
    """Return whether some linear classifier tells all classes apart, exactly: a linear program, not a fit.

    It looks for weights w_t and offsets b_t with (w_y - w_t) x + b_y - b_t >= m for every sample x of class y and every
    other class t, the largest m with all |w|, |b| <= 1; the classes are separable where m > 0.

    Args:
        coefficients: (n, F), such as those along carriers; a subset of some hundred samples will do to show that a set
            is not separable.
        labels: (n,) int64, consecutive from 0.

    Returns:
        Whether they are separable; a margin below 1e-7 standard deviations counts as none.

    Raises:
        ValueError: if shapes do not fit, or there is one class only.
    """
    points = coefficients.detach().double().cpu().numpy()
    if points.ndim != 2 or labels.shape != coefficients.shape[:1] or len(labels.unique()) < 2:
        raise ValueError(
            f"expected coefficients (n, F) and labels (n,) of two classes or more, got {tuple(coefficients.shape)} and "
            f"{tuple(labels.shape)} with {len(labels.unique())}"
        )
    points = np.c_[(points - points.mean(0)) / np.maximum(points.std(0), 1e-300), np.ones(len(points))]
    classes, width = int(labels.max()) + 1, points.shape[1]
    rows, columns, entries = [], [], []
    count = 0
    for t in range(classes):  # one block of constraints for each rival class
        mine = np.flatnonzero(labels.cpu().numpy() != t)
        number = count + np.arange(len(mine))
        own = labels.cpu().numpy()[mine]
        for feature in range(width):
            rows += [number, number]
            columns += [own * width + feature, np.full(len(mine), t * width + feature)]
            entries += [-points[mine, feature], points[mine, feature]]
        count += len(mine)
    rows.append(np.arange(count))
    columns.append(np.full(count, classes * width))  # the margin
    entries.append(np.ones(count))
    total = classes * width + 1
    constraints = sparse.csr_array(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(count, total)
    )
    bounds = [(-1, 1)] * (total - 1) + [(0, None)]
    found = linprog(-np.eye(total)[-1], A_ub=constraints, b_ub=np.zeros(count), bounds=bounds, method="highs")
    if not found.success:
        raise RuntimeError(f"the linear program was not solved: {found.message}")
    return bool(found.x[-1] > 1e-7)


def permute(images: torch.Tensor, basis: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Give direction i the coefficient that direction order[i] had.

    Args:
        images: (n, C, H, W).
        basis: (D, 1, H, W) with D = H W, or (D, C, H, W) with D = C H W; orthonormal and complete.
        order: (D,), a permutation.

    Returns:
        (n, C, H, W); norms and angles between images are kept.

    Raises:
        ValueError: if the basis is not complete and orthonormal, or `order` is no permutation.
    """
    rows = complete_rows(images, basis)
    if sorted(checks.tensor(order, "an order").flatten().tolist()) != list(range(len(rows))):
        raise ValueError(f"expected a permutation of 0 ... {len(rows) - 1}, got {tuple(order.shape)} other numbers")
    return _linear(images, rows[order.cpu()].T @ rows)  # row vectors: x -> x (U_order)^T U


def flip(images: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Reverse the order of the coefficients: direction i gets that of direction D - 1 - i (Fig. 8).

    Twice is the identity. Arguments, result and errors are those of `permute`.
    """
    return permute(images, basis, torch.arange(len(checks.directions(basis, "a basis"))).flip(0))


def change_signs(images: torch.Tensor, basis: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    """Multiply the coefficient of each direction by 1 or -1: every direction keeps its energy, pictures fall apart.

    Args:
        images: (n, C, H, W).
        basis: (D, 1, H, W) with D = H W, or (D, C, H, W) with D = C H W; orthonormal and complete.
        signs: (D,), each 1 or -1.

    Returns:
        (n, C, H, W); norms and angles between images are kept, and what of them lies along each direction.

    Raises:
        ValueError: if the basis is not complete and orthonormal, or `signs` are no signs.
    """
    rows = complete_rows(images, basis)
    if checks.tensor(signs, "signs").shape != rows.shape[:1] or not bool((signs.abs() == 1).all()):
        raise ValueError(f"expected {len(rows)} signs, each 1 or -1, got {tuple(signs.shape)} numbers")
    return _linear(images, rows.T @ (signs.double().cpu()[:, None] * rows))


def random_signs(images: torch.Tensor, basis: torch.Tensor, *, seed: int = 0) -> torch.Tensor:
    """Give each coefficient a sign at random, the same for all images.

    The control for flipping that keeps the alignment of data and network, and breaks what a picture is otherwise.
    Arguments, result and errors are those of `change_signs`; the seed draws the signs.
    """
    generator = torch.Generator().manual_seed(checks.seed(seed))
    return change_signs(
        images, basis, 1 - 2 * torch.randint(2, (len(checks.directions(basis, "a basis")),), generator=generator)
    )


def rotate(images: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Multiply each image, or each channel, by an orthogonal matrix.

    Args:
        images: (n, C, H, W).
        rotation: (H W, H W) for every channel by itself, or (C H W, C H W).

    Returns:
        (n, C, H, W).

    Raises:
        ValueError: if the matrix has another size or is not orthogonal.
    """
    check_images(images)
    sizes = (images[0, 0].numel(), images[0].numel())
    checks.tensor(rotation, "a rotation")
    if rotation.ndim != 2 or rotation.shape[0] != rotation.shape[1] or len(rotation) not in sizes:
        raise ValueError(
            f"expected a square matrix of {sizes[0]} or {sizes[1]} rows for these images, got {tuple(rotation.shape)}"
        )
    _check_orthonormal(rotation)
    return _linear(images, rotation.T.double().cpu())


def _linear(images: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Apply a matrix (m, m) to rows of m numbers, channels or whole images, some images at a time."""
    matrix = matrix.to(images)
    changed = torch.empty_like(images, memory_format=torch.contiguous_format)
    for old, new in zip(images.split(CHUNK), changed.split(CHUNK), strict=True):
        new.copy_((old.reshape(-1, len(matrix)) @ matrix).view(new.shape))
    return changed


def complete_rows(images: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Return a complete basis that fits the images as rows (D, D), float64 on the CPU; errors as for `permute`."""
    check_images(images)
    basis = checks.directions(basis, "a basis")
    _check_size(images, basis)
    rows = basis.flatten(1).double().cpu()
    if len(rows) != rows.shape[1]:
        raise ValueError(
            f"expected a complete basis, {rows.shape[1]} directions, got {len(rows)}; see directions.complete"
        )
    _check_orthonormal(rows)
    return rows


def check_images(images: torch.Tensor) -> None:
    """Raise TypeError or ValueError where images are no float tensor (n, C, H, W)."""
    checks.tensor(images, "images")
    if images.ndim != 4 or not images.dtype.is_floating_point:
        raise ValueError(
            f"expected float images (n, C, H, W), such as cifar.to_unit gives, got {images.dtype} {tuple(images.shape)}"
        )


def _check_size(images: torch.Tensor, basis: torch.Tensor) -> None:
    if basis.ndim != 4 or basis.shape[2:] != images.shape[2:] or basis.shape[1] not in (1, images.shape[1]):
        raise ValueError(
            f"expected a basis (D, 1, H, W) or (D, C, H, W) for images {tuple(images.shape)}, got {tuple(basis.shape)}"
        )


def _check_orthonormal(rows: torch.Tensor) -> None:
    error = float((rows.double() @ rows.double().T - torch.eye(len(rows), device=rows.device)).abs().max())
    if not error <= 1e-3:  # so that NaN is wrong
        raise ValueError(f"expected orthonormal rows, got inner products off by {error:.2g}")
