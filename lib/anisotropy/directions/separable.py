"""The linearly separable distribution D(v) of Section 2, whose one informative direction is v."""

import torch

from anisotropy._util import checks

CONVENTIONS = {"text": 1.0, "code": 0.5}
"""How far the class means lie from the origin, in units of epsilon, in the paper's text and in the released code."""

NUMERICS = 1
"""Version of the numbers that `sample` draws from a given generator; sweeps do not reuse results of another version."""


def sample(
    direction: torch.Tensor,
    count: int,
    *,
    epsilon: float = 1.0,
    sigma: float = 3.0,
    convention: str = "text",
    generator: torch.Generator,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw samples of D(v): x = a y v + w, w ~ N(0, sigma^2 (I - v v^T)), y = -1 or +1.

    The paper's text has a = epsilon (`convention="text"`), the released code a = epsilon / 2 (`"code"`). The noise has
    no component along v, so the plane orthogonal to v separates the classes with margin a, whatever sigma is. As in
    the released code the classes are balanced: one half of the samples each (the text draws y at random).

    Args:
        direction: (*shape), unit norm, a tensor or an array; of one to three axes, such as (C, H, W), (1, length),
            (nodes, features).
        count: number of samples, n.
        epsilon: size of the informative component, positive.
        sigma: standard deviation of the noise in every direction orthogonal to v, not negative.
        convention: "text" or "code".
        generator: source of randomness. All is drawn on its device: a CPU generator gives the same data everywhere.
        device: where the result lies; the generator's device if None.
        dtype: of the inputs. Random numbers are drawn in float32 for float32 and narrower types, else in `dtype`.

    Returns:
        inputs: (n, *shape).
        labels: (n,) int64, 1 where y = +1 and 0 where y = -1; in random order, n // 2 of them 1.

    Raises:
        ValueError: if the direction is not a unit vector of one to three axes, or another argument is out of range.
    """
    direction = checks.directions(direction, "a direction")
    check(direction, count, epsilon, sigma, convention)
    home = checks.generator(generator).device
    work = dtype if dtype == torch.float64 else torch.float32
    v = direction.to(home, work).flatten()
    labels = torch.zeros(count, dtype=torch.int64, device=home)
    labels[torch.randperm(count, generator=generator, device=home)[: count // 2]] = 1
    noise = torch.randn(count, v.numel(), generator=generator, device=home, dtype=work).mul_(sigma)
    shift = CONVENTIONS[convention] * epsilon * (2 * labels - 1).to(work)
    inputs = noise.addr_(shift - noise @ v, v)  # w - (w.v) v + a y v in one rank-1 update
    return inputs.view(count, *direction.shape).to(device or home, dtype), labels.to(device or home)


def redundant(
    first: torch.Tensor,
    second: torch.Tensor,
    count: int,
    *,
    amplitudes: tuple[float, float],
    sigma: float = 3.0,
    generator: torch.Generator,
    agree: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw samples whose class can be read along either of two directions: x = y (a u + b v) + w, w orthogonal to both.

    A network that is trained on them may use one direction, the other or both, and is right with each. On samples
    where the two disagree, x = y (a u - b v) + w, its answers tell which one it uses.

    Args:
        first: u, (C, H, W), unit norm.
        second: v, likewise, orthogonal to u.
        count: number of samples, n.
        amplitudes: a and b, positive.
        sigma: standard deviation of the noise in every direction orthogonal to both.
        generator: CPU generator.
        agree: False for samples along whose second direction the sign is that of the other class.

    Returns:
        inputs: (n, C, H, W) float32.
        labels: (n,) int64, the class along the first direction; in random order, n // 2 of them 1.

    Raises:
        ValueError: if the directions are no orthogonal unit vectors, or another argument is out of range.
    """
    both = torch.stack([checks.directions(d, "a direction").float() for d in (first, second)])
    for direction, amplitude in zip(both, amplitudes, strict=True):
        check(direction, count, amplitude, sigma, "text")
    if not abs(overlap := float((both[0] * both[1]).sum())) < 1e-3:
        raise ValueError(f"expected two orthogonal directions, got a scalar product of {overlap:.3g}")
    plane = both.flatten(1)
    labels = torch.zeros(count, dtype=torch.int64)
    labels[torch.randperm(count, generator=generator)[: count // 2]] = 1
    noise = torch.randn(count, plane.shape[1], generator=generator).mul_(sigma)
    signed = torch.tensor([amplitudes[0], amplitudes[1] if agree else -amplitudes[1]])
    wanted = (2 * labels - 1).float()[:, None] * signed  # coefficients along u and v
    return (noise + (wanted - noise @ plane.T) @ plane).view(count, *first.shape), labels


def check(direction: torch.Tensor, count: int, epsilon: float, sigma: float, convention: str) -> None:
    """Raise ValueError unless these arguments suit `sample`."""
    if not 1 <= checks.tensor(direction, "a direction").ndim <= 3:
        raise ValueError(f"expected one direction, {checks.SHAPES}, got {tuple(direction.shape)}")
    norm = float(direction.double().norm())
    if not abs(norm - 1) < 1e-3:
        raise ValueError(f"expected a direction of unit norm, got norm {norm:.4g}; divide it by its norm")
    checks.whole(count, "the number of samples")
    if not 0 < epsilon < float("inf") or not 0 <= sigma < float("inf"):
        raise ValueError(f"expected epsilon > 0 and sigma >= 0, both finite, got epsilon={epsilon} and sigma={sigma}")
    if convention not in CONVENTIONS:
        raise ValueError(f"expected a convention out of {tuple(CONVENTIONS)}, got {convention!r}")


def optimal_margin(epsilon: float, convention: str = "text") -> float:
    """Return the distance of the samples from the separating plane orthogonal to v: epsilon, or epsilon / 2 for "code".

    Args:
        epsilon: as for `sample`.
        convention: as for `sample`.

    Returns:
        The margin; the classifier sign(v.x) is right on all of D(v).

    Raises:
        ValueError: if the convention is unknown.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"expected a convention out of {tuple(CONVENTIONS)}, got {convention!r}")
    return CONVENTIONS[convention] * epsilon
