"""What NADs cost, by each definition: the naive way against ours, side by side in one run, at equal precision.

    python benchmarks/nads.py [--networks lenet resnet18 ...] [--methods secant gradient mixed] [--repeats 3]

The naive way (`ways.naive`) draws 10,000 networks, makes a module for each, and ends in a PCA. Ours averages over
verified grid symmetries, folds batch norm, keeps channels last, and

* secant: integrates the read-out out, needs no gradients, and computes of the first layers only the window that an
  impulse reaches; both ways are timed on the same `--pixels` pixels of the same networks, in turn, and scaled to all D
  of them, since every pixel costs the same. How many networks are needed comes from the shipped NADs.
* gradient: averages over all features or as many orthogonal read-outs as cost least at equal precision (`worth`);
  how many networks are needed comes from an estimate that is run here.
* mixed: takes as many probes of each network as cost least; likewise.

Precision is that of the top `--k` subspace, as plain networks (`Nads.plain_networks`), whose error follows from the
spread between groups of networks. One thread, as a worker has it, in processor time, which other programs stretch
little. Totals are multiplied out: nobody has run the 10,000 networks.
"""

import argparse
import math
import statistics
import time
from pathlib import Path

import torch
from anisotropy import nads
from anisotropy.models import architectures
from anisotropy.nads import responses
from measuring import ORDER, PLAIN, RESULTS, Operations, load, origin, peak, read, write
from ways import METHODS, Subject, naive, ours, pca_seconds, rows_of, sums_seconds
from worth import ALL, cheapest, compare, gap

PILOT = {"logreg": 32, "lenet": 256, "vgg11": 64, "resnet18": 48, "densenet121": 32}
"""Networks that the worth of read-outs and probes is measured on."""


def medians(times: list[dict[str, float]]) -> dict[str, float]:
    """Median of each part."""
    return {part: statistics.median(t[part] for t in times) for part in times[0]}


def in_turn(subject: Subject, repeats: int, pixels: int, amount: int | None) -> dict:
    """Both ways on the same networks, in turn, so that a change of the machine's speed meets both."""
    known = {"naive": [], "ours": [], "batched": []}
    warm = pixels if subject.small else 8
    naive(subject, 0, warm), ours(subject, 0, pixels=warm, amount=amount)
    for index in range(repeats):
        known["naive"].append(naive(subject, index, pixels))
        known["ours"].append(ours(subject, index, pixels=pixels, amount=amount)[0])
        if subject.method == "secant" and pixels > 128:
            known["batched"].append(naive(subject, index, pixels, 128))
    return known


def operations(subject: Subject, pixels: int, amount: int | None) -> int:
    """Floating-point operations of one network of ours (all pixels), counted by torch."""
    network = responses.prepare(architectures.build(subject.factory, 0), copy=False)
    with Operations() as counter:
        rows_of(subject, network, 0, pixels, amount)
    return round(counter.count * (subject.x.numel() / pixels if subject.method == "secant" else 1))


def forward_operations(subject: Subject) -> int:
    """Floating-point operations of a forward pass of one image."""
    network = responses.prepare(architectures.build(subject.factory, 0), copy=False)
    with Operations() as counter, torch.no_grad():
        network(subject.x[None])
    return counter.count


def needed_from(found: nads.Nads, k: int) -> int:
    """Networks of ours that are worth `PLAIN` plain ones, from an estimate's own uncertainty."""
    worth = found.plain_networks.get(k, math.inf) / found.networks
    return max(1, math.ceil(PLAIN / worth)) if math.isfinite(worth) else 1


def precision(subject: Subject, k: int, networks: int, few: int, most: float) -> tuple[int, int | None, dict]:
    """Networks needed, the amount taken of each, and how both were found."""
    if subject.method == "secant":
        shipped = nads.load(subject.name)
        known = {"gap": gap(shipped.eigenvalues, k), "networks_measured": shipped.networks}
        return needed_from(shipped, k), None, known
    compared = compare(subject, networks, few, k)
    best = cheapest(compared)
    amount = None if best["amount"] == ALL else best["amount"]
    count = max(2, min(math.ceil(PLAIN / best["worth"]), round(most / best["seconds"])))
    kind, amounts = (nads.Gradient, "draws") if subject.method == "gradient" else (nads.Mixed, "probes")
    response = kind(**{amounts: amount}, dtype=subject.dtype)
    begin = time.process_time()
    found = nads.estimate(subject.factory, response=response, networks=count)
    known = {
        "gap": gap(found.eigenvalues, k),
        "networks_measured": count,
        "seconds_measured": time.process_time() - begin,
        "plain_networks_measured": min(found.plain_networks[k], 1e9),
        "amounts": compared,
    }
    return needed_from(found, k), amount, known


def benchmark(name: str, method: str, arguments: argparse.Namespace, pca: float) -> dict:
    """Both ways for one network and method; seconds are medians over networks."""
    subject = Subject(name, method, arguments.side)
    size, pixels, repeats = subject.x.numel(), arguments.pixels, arguments.repeats
    networks = min(PILOT[name], arguments.pilot or PILOT[name])
    needed, amount, known = precision(subject, arguments.k, networks, arguments.few, arguments.most)
    if subject.small:
        pixels, repeats = size, 3 * repeats  # all of them: what a pass costs besides arithmetic counts here
    if method != "secant":
        pixels, repeats = size, 5 * repeats  # cheap enough
    times = in_turn(subject, repeats, pixels, amount)
    theirs, mine = medians(times["naive"]), medians(times["ours"])
    scale = size / pixels
    naive_one = theirs["weights"] + theirs["passes"] * scale
    passes = mine["passes"] * scale
    rows = amount or (subject.readout.features if subject.readout else 1)
    added, decomposed = sums_seconds(rows, subject.shape, subject.group)
    one = mine["weights"] + passes + added
    total_naive, total_ours = PLAIN * naive_one + pca, needed * one + decomposed
    done, forward = operations(subject, pixels, amount), forward_operations(subject)
    best = peak(subject.dtype)
    middle = statistics.median(sum(t.values()) for t in times["naive"])
    return {
        "network": name,
        "method": method,
        "pixels": pixels,
        "repeats": repeats,
        "dtype": str(subject.dtype).removeprefix("torch."),
        "k": arguments.k,
        "amount": amount or (ALL if method != "mixed" else 1),
        "seconds_per_network_naive": naive_one,
        "seconds_weights_naive": theirs["weights"],
        "seconds_per_network_naive_in_batches": medians(times["batched"])["passes"] * scale + theirs["weights"]
        if times["batched"]
        else None,
        "seconds_pca_once": pca,
        "seconds_per_network": one,
        "seconds_weights": mine["weights"],
        "seconds_passes": passes,
        "seconds_covariance": added,
        "seconds_eigen_once": decomposed,
        "networks_naive": PLAIN,
        "networks": needed,
        "factor_fewer_networks": PLAIN / needed,
        "factor_cheaper_network": naive_one / one,
        "factor": total_naive / total_ours,
        "core_hours_naive": total_naive / 3600,
        "core_minutes": total_ours / 60,
        "share_of_operations": done / (2 * size * forward) if method == "secant" else None,
        "share_of_peak": done / passes / best,
        "peak_gflops": best / 1e9,
        "range_naive": [pick(sum(t.values()) for t in times["naive"]) / middle for pick in (min, max)],
        **known,
    }


def main() -> None:
    """Time, and write `nads.json` after each network and method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=ORDER, choices=ORDER, metavar="NAME")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS, metavar="METHOD")
    parser.add_argument("--pixels", type=int, default=64, help="pixels that are timed, of 1,024; small networks: all")
    parser.add_argument("--repeats", type=int, default=3, help="networks that are timed; small networks: more")
    parser.add_argument("--k", type=int, default=50, help="dimension of the subspace whose precision is equalled")
    parser.add_argument("--pilot", type=int, help="networks that read-outs and probes are compared on, at most")
    parser.add_argument("--few", type=int, default=4, help="large networks of which all features are taken")
    parser.add_argument("--most", type=float, default=150.0, help="seconds that an estimate may take, about")
    parser.add_argument("--side", type=int, default=32, help="of the images, in pixels; shipped NADs are of 32")
    parser.add_argument("--samples", type=int, default=PLAIN, help="rows of the PCA that is timed")
    parser.add_argument("--output", type=Path, default=RESULTS / "nads.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # Those of networks and methods that are not measured now are kept; each has its own load, the file one machine.
    rows = {(r["network"], r.get("method", "secant")): r for r in read(arguments.output).get("rows", [])}
    content = {
        "what": "NADs of grey images: the naive way against ours at equal precision, one thread",
        "clock": "processor time; medians over networks; totals are multiplied out",
        **origin(),
    }
    pca = pca_seconds(arguments.side**2, arguments.samples)
    for method in arguments.methods:
        for name in arguments.networks:
            before = load()
            found = benchmark(name, method, arguments, pca) | {"load_before": before}
            rows[name, method] = found
            order = sorted(rows, key=lambda key: (METHODS.index(key[1]), ORDER.index(key[0])))
            write(arguments.output, {**content, "rows": [rows[key] for key in order]})
            print(
                f"{name}, {method}: {found['factor']:.0f} times = {found['factor_fewer_networks']:.0f} x fewer networks"
                f" x {found['factor_cheaper_network']:.2f} (each of ours {found['seconds_per_network']:.3g} s)",
                flush=True,
            )


if __name__ == "__main__":
    main()
