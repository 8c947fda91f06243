"""The tables of the page of results: numbers as text, and the columns of each kind of result."""

from anisotropy.paper.plotting import LABELS
from measuring import ORDER


def table(columns: dict, rows: list) -> str:
    """Rows as a Markdown table; columns are heading -> function of the row."""
    lines = [list(columns), ["---"] * len(columns), *[[str(cell(r)) for cell in columns.values()] for r in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def label(name: str) -> str:
    """Name of a network in print."""
    return LABELS.get(name, name)


def plain(number: float) -> str:
    """Three digits, thousands with commas, never an exponent."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def duration(seconds: float) -> str:
    """Seconds, or core-hours from a tenth of one on."""
    return f"{plain(seconds / 3600)} core-hours" if seconds >= 360 else f"{plain(seconds)} s"


def factor(number: float) -> str:
    """A factor of cost."""
    return f"{number:,.0f} ×" if number >= 10 else f"{number:.1f} ×"


COSTS = {
    "network": lambda r: label(r["network"]),
    "networks: naive, ours": lambda r: f"{r['networks_naive']:,}, {r['networks']:,}",
    "a network, s: naive, ours": lambda r: f"{r['seconds_per_network_naive']:.3g}, {r['seconds_per_network']:.3g}",
    "weights": lambda r: f"{r['seconds_weights']:.2g}",
    "passes": lambda r: f"{r['seconds_passes']:.2g}",
    "covariance": lambda r: f"{r['seconds_covariance']:.2g}",
    "eigen, once": lambda r: f"{r['seconds_eigen_once']:.2g}",
    "operations": lambda r: f"{r['share_of_operations']:.0%}" if r.get("share_of_operations") else "",
    "of peak": lambda r: f"{r['share_of_peak']:.0%} of {r['peak_gflops']:.0f} GFLOP/s",
    "total: naive, ours": lambda r: f"{duration(3600 * r['core_hours_naive'])}, {duration(60 * r['core_minutes'])}",
    "faster": lambda r: factor(r["factor"]),
    "= fewer × cheaper networks": lambda r: f"{plain(r['factor_fewer_networks'])} × {r['factor_cheaper_network']:.2g}",
}


def amounts(rows: list[dict]) -> str:
    """What one network of ours is worth and costs, by read-outs or probes."""
    listed = list(dict.fromkeys(a["amount"] for row in rows for a in row["amounts"]))

    def cell(amount):
        def show(row):
            found = next((a for a in row["amounts"] if a["amount"] == amount), None)
            chosen = "**" if row["amount"] == amount else ""
            return f"{chosen}{found['worth']:.3g} in {found['seconds']:.2g} s{chosen}" if found else ""

        return show

    return table({"network": lambda r: label(r["network"]), **{str(a): cell(a) for a in listed}}, rows)


TOTAL = {
    "network": lambda r: label(r["network"]),
    "precision": lambda r: r["dtype"],
    "networks": lambda r: r["networks"],
    "s": lambda r: f"{r['seconds']:.1f}",
    "worth plain networks": lambda r: "any number" if r["plain_networks"] >= 1e9 else plain(r["plain_networks"]),
}


def sweep_columns(content: dict) -> dict:
    """Columns of a table of sweeps."""
    return {
        "network": lambda r: label(r["network"]),
        "batch": lambda r: r.get("batch_size", 128),
        "samples/s: loop / ours / ours in bfloat16": lambda r: " / ".join(map(plain, r["samples_per_second"].values())),
        "ratio, float32": lambda r: _range(r["ratio"], r["ratio_range"]),
        "ratio, bfloat16": lambda r: (
            _range(r["ratio_bfloat16"], r["ratio_bfloat16_range"]) if r.get("ratio_bfloat16") else "not measured"
        ),
        "n": lambda r: r.get("repeats", content.get("repeats")),
        "of peak": lambda r: f"{r['share_of_peak']:.0%}",
    }


def _range(value: float, ends: list[float]) -> str:
    return f"{value:.2f} ({ends[0]:.2f} to {ends[1]:.2f})"


def sweep_rows(content: dict) -> list[dict]:
    """Networks of a file of sweeps as rows; ratios of pairs where an older file has none."""
    rows = []
    for name in (n for n in ORDER if n in content["networks"]):
        row = {"network": name, **content["networks"][name]}
        pairs = zip(row["repetitions"]["loader"], row["repetitions"]["ours"], strict=True)
        ratios = sorted(ours / loader for loader, ours in pairs)
        row.setdefault("ratio", ratios[len(ratios) // 2])
        row.setdefault("ratio_range", [ratios[0], ratios[-1]])
        rows.append(row)
    return rows


SCALING = {
    "network": lambda r: r["name"] + (f", width {r['width']}" if "width" in r else ""),
    "image": lambda r: f"{r['in_channels']} x {r['image_size']} x {r['image_size']}",
    "D": lambda r: f"{r['in_channels'] * r['image_size'] ** 2:,}",
    "networks": lambda r: r["networks"],
    "rows": lambda r: r["networks"] * r["draws"],
    "directions": lambda r: r["rank"],
    "s": lambda r: f"{r['seconds']:.1f}",
    "of these at the end": lambda r: f"{r['seconds_end']:.1f}",
    "GiB above libraries": lambda r: f"{r['memory_gib']:.2f}",
    "halves agree, top 30": lambda r: f"{r['overlap']:.3f}" if r.get("overlap") is not None else "",
}
