"""Interventions on images along a basis: poison one direction, flip or permute all, rotate (Section 4.2).

Images are (n, C, H, W) floats. A basis is (D, 1, H, W), used on every channel by itself, or (D, C, H, W); its rows are
orthonormal. All functions are pure, on the device and in the dtype of the images.
"""

import torch

NUMERICS = 1
"""Version of the numbers that these functions make; sweeps do not reuse results of another version."""

CHUNK = 4096
"""Images transformed at a time, so that the coefficients of a whole data set never lie beside it in memory."""


def carriers(basis: torch.Tensor, index: int, *, classes: int, channels: int) -> torch.Tensor:
    """Return one signed, unit-norm carrier picture per class, coded as in the released code.

    Each direction carries two classes per channel, with opposite signs. For three channels class t has direction
    index + t // 6, channel t mod 3, and the sign - for even t, + for odd t.

    Args:
        basis: (K, 1, H, W), unit norm.
        index: of the first direction, the carriers' position in the order of the NADs.
        classes: number of classes, T.
        channels: number of channels of the images, C.

    Returns:
        (T, C, H, W), orthogonal to each other or opposite.

    Raises:
        ValueError: if the basis has channels of its own, or fewer directions than the classes need.
    """
    if basis.ndim != 4 or basis.shape[1] != 1:
        raise ValueError(f"expected a basis (K, 1, H, W) for carriers in single channels, got {tuple(basis.shape)}")
    needed = -(-classes // (2 * channels))  # directions
    if classes < 2 or channels < 1 or not 0 <= index <= len(basis) - needed:
        raise ValueError(
            f"expected at least 2 classes, 1 channel and an index from 0 to {len(basis) - needed} ({classes} classes "
            f"in {channels} channels take {needed} of {len(basis)} directions), got index {index}"
        )
    pictures = basis.new_zeros(classes, channels, *basis.shape[2:])
    for t in range(classes):
        # with an even number of channels the parity of t belongs to the channel, so the round counts as well
        odd = t % 2 if channels % 2 else (t + t // channels) % 2
        pictures[t, t % channels] = (1 if odd else -1) * basis[index + t // (2 * channels), 0]
    return pictures


def poison(
    images: torch.Tensor, labels: torch.Tensor, basis: torch.Tensor, index: int, epsilon: float, *, classes: int = 10
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write each image's class into one direction: its coefficient along its class's carrier becomes epsilon (Fig. 7).

    All other coefficients stay. In the released code images are in [0, 1] and epsilon is 0.05; only the training set
    is poisoned.

    Args:
        images: (n, C, H, W).
        labels: (n,) int64, below `classes`.
        basis: (K, 1, H, W), unit norm.
        index: position of the carriers, see `carriers`.
        epsilon: the new coefficient, positive.
        classes: number of classes.

    Returns:
        images: (n, C, H, W), poisoned copies; values may leave [0, 1].
        carriers: (classes, C, H, W).

    Raises:
        ValueError: if shapes or values do not fit.
    """
    _check_images(images)
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64:
        raise ValueError(f"expected int64 labels ({len(images)},), got {labels.dtype} {tuple(labels.shape)}")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"expected labels from 0 to {classes - 1}, got {int(labels.min())} to {int(labels.max())}")
    if not epsilon > 0:
        raise ValueError(f"expected a positive epsilon, got {epsilon}")
    _check_size(images, basis)
    pictures = carriers(basis.to(images), index, classes=classes, channels=images.shape[1])
    mine = pictures[labels]
    coefficients = (images * mine).flatten(1).sum(1)
    return images + (epsilon - coefficients).view(-1, 1, 1, 1) * mine, pictures


def project(images: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Return what of the images lies in the span of some pictures, such as carriers.

    Args:
        images: (n, C, H, W).
        pictures: (T, C, H, W), any.

    Returns:
        (n, C, H, W), the orthogonal projections.
    """
    _check_images(images)
    u, s, _ = torch.linalg.svd(pictures.flatten(1).double().T, full_matrices=False)
    span = u[:, s > 1e-6 * s.max()].to(images)  # (C H W, rank); opposite carriers span one direction
    return ((images.flatten(1) @ span) @ span.T).view_as(images)


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
    if sorted(order.tolist()) != list(range(len(rows))):
        raise ValueError(f"expected a permutation of 0 ... {len(rows) - 1}, got {tuple(order.shape)} other numbers")
    return _linear(images, rows[order.cpu()].T @ rows)  # row vectors: x -> x (U_order)^T U


def flip(images: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Reverse the order of the coefficients: direction i gets that of direction D - 1 - i (Fig. 8).

    Twice is the identity. Arguments, result and errors are those of `permute`.
    """
    return permute(images, basis, torch.arange(len(basis)).flip(0))


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
    _check_images(images)
    sizes = (images[0, 0].numel(), images[0].numel())
    if rotation.ndim != 2 or rotation.shape[0] != rotation.shape[1] or len(rotation) not in sizes:
        raise ValueError(
            f"expected a square matrix of {sizes[0]} or {sizes[1]} rows for these images, got {tuple(rotation.shape)}"
        )
    _check_orthonormal(rotation)
    return _linear(images, rotation.T.double().cpu())


def random_rotation(size: int, *, generator: torch.Generator) -> torch.Tensor:
    """Draw an orthogonal matrix (size, size), float64, uniformly (Haar): QR of a Gaussian matrix, signs made unique."""
    q, r = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=generator))
    return q * r.diagonal().sign()


def _linear(images: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Apply a matrix (m, m) to rows of m numbers, channels or whole images, some images at a time."""
    matrix = matrix.to(images)
    changed = torch.empty_like(images, memory_format=torch.contiguous_format)
    for old, new in zip(images.split(CHUNK), changed.split(CHUNK), strict=True):
        new.copy_((old.reshape(-1, len(matrix)) @ matrix).view(new.shape))
    return changed


def complete_rows(images: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Return a complete basis that fits the images as rows (D, D), float64 on the CPU; errors as for `permute`."""
    _check_images(images)
    _check_size(images, basis)
    rows = basis.flatten(1).double().cpu()
    if len(rows) != rows.shape[1]:
        raise ValueError(
            f"expected a complete basis, {rows.shape[1]} directions, got {len(rows)}; see directions.complete"
        )
    _check_orthonormal(rows)
    return rows


def _check_images(images: torch.Tensor) -> None:
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
    if error > 1e-3:
        raise ValueError(f"expected orthonormal rows, got inner products off by {error:.2g}")
