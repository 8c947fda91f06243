"""The page of results, from the files of results alone: the same files give the same page.

    python benchmarks/page.py [--folder benchmarks/results] [--quote]

`--quote` prints the passage for the README instead of writing the page and its plots.
"""

import argparse
from pathlib import Path

import plots
from anisotropy._util import files
from measuring import ORDER, RESULTS, read
from tables import COSTS, SCALING, TOTAL, amounts, duration, factor, label, plain, sweep_columns, sweep_rows, table

GPU_TFLOPS = 20
"""Rate for which the time on a GPU is worked out."""

FASTER = ["faster", "gradients, faster", "mixed derivatives, faster"]
"""Headings in the README, one for each of `METHODS`."""

METHODS = {
    "secant": "Secants, as the released code takes them (h = 100)",
    "gradient": "Gradients, as Section 3 defines NADs",
    "mixed": "Mixed derivatives, Lemma 2",
}


def in_batches(row: dict) -> float:
    """How much faster ours is than a naive way that takes the pixels in batches of 128, with the same eigenproblem."""
    own, batched = row["seconds_per_network_naive"], row["seconds_per_network_naive_in_batches"]
    total = 3600 * row["core_hours_naive"] - row["networks_naive"] * (own - batched)
    return total / (60 * row["core_minutes"])


def notes(rows: list[dict], k: int) -> list[str]:
    """What the numbers of a table rest on, network by network."""
    found = []
    batched = [r for r in rows if r.get("seconds_per_network_naive_in_batches")]
    for row in batched:
        seconds, slower = row["seconds_per_network_naive_in_batches"], in_batches(row)
        against = f", against which ours is {factor(slower)} faster" if slower < row["factor"] else ""
        found.append(
            f"{label(row['network'])}'s naive way takes all pixels at once; in batches of 128, {seconds:.3g} s a "
            f"network{against}."
        )
    close = [label(r["network"]) for r in rows if r.get("gap", 1) < 0.02]
    if close:
        found.append(
            f"The boundary at k = {k} runs between eigenvalues that differ by less than 2 %, which 10,000 plain "
            f"samples cannot tell apart, for {', '.join(close)}: gaps below that noise count as the noise."
        )
    if any(r["networks"] == 1 for r in rows):
        exact = ", ".join(label(r["network"]) for r in rows if r["networks"] == 1)
        found.append(
            f"{exact}: once the read-out is averaged over, every network gives the same, so one is exact; the factor "
            "is 10,000 networks against 1, less what is done once."
        )
    hardly = [label(r["network"]) for r in rows if r["factor"] < 5]
    if hardly:
        found.append(f"Hardly faster: {', '.join(hardly)}.")
    measured = [r for r in rows if "plain_networks_measured" in r]
    if measured:
        reached = ", ".join(
            f"{label(r['network'])} {r['networks_measured']:,} networks worth {plain(r['plain_networks_measured'])}"
            for r in measured
            if r["plain_networks_measured"] < 1e9
        )
        found.append(f"Estimates that were run for it: {reached}.")
    return found


def nads_section(content: dict) -> list[str]:
    """Tables of `nads.json`."""
    parts = [
        "## NADs",
        "![Core-hours of NADs, the naive way and ours, for each network and definition](costs.png)",
        "32 x 32 grey images, at equal precision: that of 10,000 plain samples for the top-50 subspace. The naive way "
        "draws 10,000 networks, makes a module for each, computes in float32 and ends in a PCA. Seconds are processor "
        "time on one thread, medians over networks that both ways took in turn; totals are multiplied out, nobody has "
        "run the 10,000 networks. `weights`, `passes`, `covariance`: seconds of one network of ours; `eigen, once`: "
        "three eigendecompositions and the uncertainty; `of peak`: of a matrix product of 2,048 x 2,048 in the same "
        "precision and run, counting convolutions and products; more than all of it means that a library does a "
        "convolution with fewer operations than are counted, or that the peak was disturbed.",
    ]
    rows = [{"method": "secant", **row} for row in content["rows"]]
    for method, heading in METHODS.items():
        chosen = [row for row in rows if row["method"] == method]
        if not chosen:
            continue
        columns = COSTS if method == "secant" else {k: v for k, v in COSTS.items() if k != "operations"}
        parts += [f"### {heading}", table(columns, chosen)]
        k = chosen[0]["k"]
        if method == "secant":
            types = ", ".join(f"{label(r['network'])} {r['dtype']}" for r in chosen)
            parts.append(
                f"Of large networks {min(r.get('pixels', 64) for r in chosen)} pixels were timed and scaled to 1,024. "
                f"Ours: {types}. Networks needed: from the shipped NADs (`Nads.plain_networks`). `operations`: share "
                "that ours does of the naive way's, for one network."
            )
        else:
            what = "orthogonal random read-outs" if method == "gradient" else "probes of the parameters"
            parts.append(
                f"Both in float32. The naive way takes one backward pass of a network for its "
                f"{'gradient' if method == 'gradient' else 'probe'}, ours several: what they save is drawing the "
                "weights, the forward pass and the noise of one draw, so the factor is that of fewer networks divided "
                f"by almost as many passes. Plain networks that one network of ours is worth, and its seconds, by the "
                f"number of {what} taken of it; in bold the one of least cost:"
            )
            parts.append(amounts(chosen))
        parts += notes(chosen, k)
        parts += gpu_section(content) if method == "secant" else []
    return parts


def gpu_section(content: dict) -> list[str]:
    """What secants should take on a GPU, from the operations of `nads.json`: an expectation, and called one."""
    rows = [r for r in content["rows"] if r.get("method", "secant") == "secant"]
    done = sum(r["networks"] * r["share_of_peak"] * r["seconds_passes"] * r["peak_gflops"] * 1e9 for r in rows)
    drawn = sum(r["networks"] * r["seconds_weights"] for r in rows)
    rest = sum(r["networks"] * r["seconds_covariance"] + r["seconds_eigen_once"] for r in rows)
    return [
        "### On a GPU: expected, not measured",
        f"The secants of all networks of the first table take {done:.1e} floating-point operations (convolutions and "
        f"products). A GPU that sustains {GPU_TFLOPS} TFLOP/s, far below data sheets for bfloat16, needs "
        f"{done / GPU_TFLOPS / 1e12:.0f} s for them; drawing the weights on one CPU thread, as now, "
        f"{drawn:.0f} s, sums and eigendecompositions there {rest:.0f} s: some "
        f"{done / GPU_TFLOPS / 1e12 + drawn + rest:.0f} s in all. `benchmarks/gpu.py` measures it where there is one.",
    ]


def colours_section(content: dict) -> list[str]:
    """Table of `colours.json`."""

    def both(name, form):
        return lambda r: " → ".join(form(r[name][way]) for way in ("whole", "block"))

    columns = {
        "network": lambda r: label(r["network"]),
        "image": lambda r: " x ".join(map(str, r["shape"])),
        "networks": lambda r: f"{r['networks']}, {r['dtype']}",
        "worth": lambda r: f"{r['gain']:.1f} times the networks",
        "halves agree, top 30": lambda r: " → ".join(f"{r['halves'][way]['30']:.2f}" for way in ("whole", "block")),
        "top 60": lambda r: " → ".join(f"{r['halves'][way]['60']:.2f}" for way in ("whole", "block")),
        "sums, eigenvectors": both("seconds_rest", duration),
        "memory of the sums": both("bytes_of_sums", lambda b: f"{b / 2**20:.0f} MiB"),
        "secants": lambda r: duration(r["seconds_secants"]),
    }
    return [
        "## Colour images",
        "Where the first layer treats channels alike (tested on each architecture), the covariance is one block for "
        "all of them. The same secants of the same networks, summed as a whole → as a block, one thread; `worth` is "
        "the ratio of the expected squared errors of the covariance.",
        table(columns, content["rows"]),
    ]


def draws_section(content: dict) -> list[str]:
    """Table of `draws.json`."""
    rows = [{"pair": name, **found} for name, found in content["kinds"].items()]
    columns = {
        "pair": lambda r: r["pair"],
        "correlation": lambda r: f"{r['correlation']:.2f} ± {r['error']:.2f}",
        "counts for": lambda r: f"{r['counts_for']:.2f} networks",
    }
    return [
        "## Tried, and left out",
        "Paired draws of weights, which would save networks if the covariances of the two were negatively correlated "
        f"(LeNet, secants, {content['pairs']} pairs; `benchmarks/draws.py`). Antithetic weights are worse than "
        "independent ones. New dense layers on the same convolutions count for less than a second network, and cost "
        "less than one; it would be a gain of parts, for networks like LeNet alone.",
        table(columns, rows),
    ]


def kernels_section(content: dict) -> list[str]:
    """Table of `kernels.json`."""
    columns = {
        "network, response": lambda r: r["case"],
        "image": lambda r: f"{r['side']} x {r['side']}",
        "exact, s": lambda r: f"{r['exact']['seconds']:.2g}",
        "exact, GiB": lambda r: f"{r['exact']['gib']:.2f}",
        "a network, s": lambda r: f"{r['network_seconds']:.2g}",
        "spread of one network": lambda r: f"{r['spread']:.2f}",
        "squared difference of the width": lambda r: f"{r['bias_squared']:.3f} ± {r['bias_squared_error']:.3f}",
        "worth, networks": lambda r: f"{'' if r['decided'] else '> '}{r['worth']:.0f}",
        "sampling, s": lambda r: f"{'' if r['decided'] else '> '}{r['sampling_seconds']:.3g}",
        "networks sampled": lambda r: f"{r['networks']}",
    }
    return [
        "## Without sampling",
        "`kernels.infinite_width` computes the covariance that networks of infinitely many channels have. Networks of "
        "finite width differ from it: `worth` is the number of random networks whose sampling noise is as large as "
        "that difference, and `sampling` what these would take. Covariances over their traces, errors in Frobenius' "
        "norm over that of the exact one; where the difference is below two standard errors, a bound. Processor time "
        "of one thread. `plain`: three convolutions of 128 channels, strides 1, 2, 2, and a dense read-out. `lenet`: "
        "with average pooling; of its 6 and 16 channels few networks know as much as the limit does, and cost less. "
        "ResNet-18's rectified skips are not Gaussian: its difference is not of the width alone.",
        table(columns, content["rows"]),
        *(
            f"{row['case']}, {row['side']} x {row['side']}: measured at {row['commit']['hash'][:12]}."
            for row in content["rows"]
            if "commit" in row
        ),
    ]


def total_section(content: dict) -> list[str]:
    """Table of `total.json`."""
    return [
        "## All five, end to end",
        f"`nads.estimate(..., workers={content['workers']})` with the settings of the shipped NADs and as many "
        f"networks as they say are needed, secants, wall clock, nothing scaled: **{content['seconds']:.0f} s**. "
        "`worth`: plain networks, by each estimate's own uncertainty at k = 50.",
        table(TOTAL, content["rows"]),
    ]


def sweeps_section(content: dict) -> list[str]:
    """Table of `sweeps-*.json`."""
    return [
        "## Training on D(v)",
        "![Ratio of samples per second, ours to a plain loop, for each network](sweeps.png)",
        "`training.train` against the usual loop over a DataLoader in float32, same steps, in turn: medians over n "
        f"repetitions, of the ratios also the range; {content['clock']} of one thread. The peak is that of a float32 "
        f"matrix product, {content['matmul_flops_per_second'] / 1e9:.0f} GFLOP/s.",
        table(sweep_columns(content), sweep_rows(content)),
    ]


def scaling_section(content: dict) -> list[str]:
    """Tables of `scaling-*.json`."""
    titles = {"image": "image", "networks": "number of networks", "directions": "number of directions"}
    parts = [
        "## As images, networks and directions grow",
        "![Seconds and memory against D, networks and directions](scaling.png)",
        "Gradients, low-rank route, one thread, each case in a process of its own; seconds of "
        f"{content.get('clock', 'processor time')}; memory is the peak above that of the libraries.",
    ]
    for name, rows in content["tables"].items():
        if name == "large":
            parts += ["### 3 x 224 x 224", table(SCALING, rows)]
            parts.append(
                "What this shows is cost. Halves that agree little (1 the same top-30 subspace, 30 / D unrelated ones) "
                "say that so few networks do not know the leading directions of so many pixels yet."
            )
        else:
            parts += [f"### By the {titles.get(name, name)}", table(SCALING, rows)]
    return parts


def where(folder: Path, contents: dict[str, dict]) -> str:
    """Hardware, versions, commit and load of each file."""
    rows = []
    for name, content in contents.items():
        hardware, versions, commit = content["hardware"], content["versions"], content["commit"]
        entries = content.get("rows") or list(content.get("networks", {}).values())
        entries += [row for rows_of in content.get("tables", {}).values() for row in rows_of]
        entries += [content] if "load_before" in content else []
        loads = [row["load_before"][0] for row in entries if "load_before" in row]
        rows.append(
            {
                "file": f"[{name}]({name})",
                "processor": f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['memory_gib']} GiB",
                "GPU": hardware["gpu"] or "none",
                "load average before": f"{min(loads)} to {max(loads)}" if loads else "not recorded",
                "python, torch": f"{versions['python']}, {versions['torch']}",
                "commit": f"{(commit['hash'] or 'none')[:12]}{'' if commit['clean'] else ', changed'}",
            }
        )
    return table({key: (lambda r, key=key: r[key]) for key in rows[0]}, rows)


SECTIONS = {
    "nads.json": nads_section,
    "total.json": total_section,
    "sweeps-cpu.json": sweeps_section,
    "scaling-cpu.json": scaling_section,
    "colours.json": colours_section,
    "draws.json": draws_section,
    "kernels.json": kernels_section,
}


def page(folder: Path = RESULTS) -> str:
    """The page as Markdown.

    Raises:
        FileNotFoundError: the folder holds no results.
    """
    contents = {name: read(folder / name) for name in SECTIONS}
    contents = {name: content for name, content in contents.items() if content}
    if not contents:
        raise FileNotFoundError(f"no results in {folder}: run benchmarks/run.py first")
    parts = ["# What it costs", "`make benchmark` measures all of this and writes this page and its files."]
    for name, content in contents.items():
        parts += SECTIONS[name](content)
    parts += ["## Where it was measured", where(folder, contents)]
    return "\n\n".join(parts) + "\n"


def quote(folder: Path = RESULTS) -> str:
    """The passage for the README."""
    rows = [{"method": "secant", **row} for row in read(folder / "nads.json")["rows"]]
    by = {(row["network"], row["method"]): row for row in rows}
    total = read(folder / "total.json")

    def faster(method):
        return lambda name: factor(by[name, method]["factor"]) if (name, method) in by else ""

    def secants(name):
        row = by[name, "secant"]
        return f"{duration(3600 * row['core_hours_naive'])} → {duration(60 * row['core_minutes'])}"

    tried = [row for row in rows if row["method"] == "secant" and row.get("seconds_per_network_naive_in_batches")]
    faster_so = [f"{label(r['network'])}, {factor(in_batches(r))}" for r in tried if in_batches(r) < r["factor"]]
    better = f"\n\nAgainst a naive way that takes its pixels in batches, where that is quicker: {', '.join(faster_so)}."
    columns = {"network": label, "secants, naive → ours": secants}
    columns |= {heading: faster(method) for heading, method in zip(FASTER, METHODS, strict=True)}
    took = (
        "The secant NADs of all five networks, with a top-50 subspace as precise as that of 10,000 plain samples, take "
        f"{total['seconds']:.0f} s on two cores, end to end. "
        if total
        else ""
    )
    return (
        f"{took}Against the naive implementation of each definition in float32, on one core and in the same run (naive "
        "totals are multiplied out, of large networks from 64 of the 1,024 pixels; ours is in bfloat16 for these; "
        "[how it was measured](benchmarks/results/README.md)):\n\n"
        + table(columns, [name for name in ORDER if (name, "secant") in by])
        + (better if faster_so else "")
    )


def make(folder: Path) -> None:
    """Write the page and its plots into the folder of the results."""
    plots.draw(folder)
    files.write(folder / "README.md", page(folder))


def main() -> None:
    """Write the page and its plots, or print what the README quotes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=RESULTS)
    parser.add_argument("--quote", action="store_true")
    arguments = parser.parse_args()
    if arguments.quote:
        print(quote(arguments.folder))
    else:
        make(arguments.folder)


if __name__ == "__main__":
    main()
