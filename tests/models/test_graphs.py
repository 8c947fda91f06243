"""Graph networks against closed forms; what relabelling, read-outs and mistakes do."""

import anisotropy as an
import pytest
import torch
from anisotropy.directions import modes
from anisotropy.models import graphs, identity
from torch_geometric.datasets import KarateClub

RING = modes.ring(16)
KARATE = KarateClub()[0].edge_index


def linear(*arguments, **named):
    """The same network without its ReLUs."""
    make = graphs.factory(*arguments, **named)

    def network():
        made = make()
        made.activation = torch.nn.Identity()
        return made

    return network


def test_a_linear_gcn_on_a_ring_by_closed_form():
    """C = 1 / (3 n hidden) sum of the channels' energies times the filter's square in each layer, exact on average.

    Glorot draws layer (i, o) with variance 2 / (i + o): a node's energy is times o * 2 / (i + o). The filter of a ring
    is the mean over a node and its two neighbours, whose eigenvectors are Fourier's waves.
    """
    found = an.estimate(linear("gcn", RING, hidden=8, readout="flat"), (16, 1), an.Gradient(), networks=300)
    waves = modes.harmonics(16)
    size = (8 * 2 / 9) * (8 * 2 / 16) / (3 * 16 * 8)
    expected = size * ((1 + 2 * torch.cos(2 * torch.pi * waves.values / 16)) / 3).pow(4)
    energy = found.energy(waves.directions.transpose(1, 2))
    assert torch.allclose(energy, expected, rtol=0.12, atol=0.02 * size)
    rows = waves.directions[:, 0]
    assert float((found.covariance() - rows.T @ (expected[:, None] * rows)).norm() / expected.norm()) < 0.1
    assert not torch.allclose(energy, 1.3 * expected, rtol=0.12, atol=0.02 * size)


def test_a_wide_gcn_is_a_gaussian_process():
    """Dipoles at 0 of two layers with ReLUs, mean over the nodes, against the recursion of infinite width.

    K <- variance S K S for the filter S, and E relu(a) relu(b) (Cho and Saul, 2009), for x, y = +-v.
    """
    matrix = modes.adjacency(KARATE) + torch.eye(34).double()
    root = matrix.sum(1).rsqrt()
    S = root[:, None] * matrix * root
    v = modes.graph_modes(KARATE).directions[[0, 1, 5, 20]]

    def kernel(x, y):
        pairs = {(i, j): torch.outer(a, b) for i, a in enumerate((x, y)) for j, b in enumerate((x, y))}
        for variance in (2.0, 1.0):  # glorot's 2 / (1 + hidden), without the denominator, and 2 / (2 hidden) * hidden
            pairs = {k: variance * S @ each @ S for k, each in pairs.items()}
            norms = [pairs[i, i].diagonal().clamp(min=0).sqrt() for i in (0, 1)]
            angle = {
                (i, j): (pairs[i, j] / torch.outer(norms[i], norms[j]).clamp(min=1e-99)).clamp(-1, 1).acos()
                for i, j in pairs
            }
            pairs = {
                (i, j): torch.outer(norms[i], norms[j]) / (2 * torch.pi) * (a.sin() + (torch.pi - a) * a.cos())
                for (i, j), a in angle.items()
            }
        return float(pairs[0, 1].mean())

    exact = torch.tensor([(kernel(u, u) + kernel(-u, -u) - 2 * kernel(u, -u)) / 4 for u in v[..., 0]]) / 3
    errors = []
    for hidden in (4, 128):
        found = an.energies(graphs.factory("gcn", KARATE, hidden=hidden), v, networks=200)
        errors.append(float((found.mean * (1 + hidden) / exact - 1).abs().max()))
    assert errors[1] < 0.04 < 0.1 < errors[0]


@pytest.mark.parametrize("kind", graphs.KINDS)
@pytest.mark.parametrize("readout", ["mean", "sum"])
def test_relabelling_the_nodes_permutes_the_covariance(kind, readout):
    """Network by network: weights know nothing of nodes. A wrong permutation does not fit."""
    order = torch.randperm(34, generator=torch.Generator().manual_seed(0))
    place = order.argsort()  # node order[i] is called i
    point = torch.randn(34, 2, generator=torch.Generator().manual_seed(1))
    one = an.estimate(
        graphs.factory(kind, KARATE, features=2, hidden=8, readout=readout), response=an.Gradient(at=point), networks=3
    )
    moved = an.estimate(
        graphs.factory(kind, place[KARATE], features=2, hidden=8, readout=readout),
        response=an.Gradient(at=point[order]), networks=3,
    )  # fmt: skip
    C, P = (each.covariance().view(34, 2, 34, 2) for each in (one, moved))
    assert torch.allclose(P, C[order][:, :, order], atol=1e-4 * float(C.max()))
    assert not torch.allclose(P, C, atol=0.05 * float(C.max()))


def test_a_sum_answers_as_a_mean_times_the_square_of_the_nodes():
    v = modes.graph_modes(KARATE).directions
    mean, total = (
        an.energies(graphs.factory("cheb", KARATE, readout=r), v, networks=3).samples for r in ("mean", "sum")
    )
    assert torch.allclose(total, 34**2 * mean, rtol=1e-3, atol=1e-9 * float(total.max()))


@pytest.mark.parametrize("kind", graphs.KINDS)
def test_a_network_answers_each_input_by_itself_as_the_layers_do(kind):
    network = graphs.factory(kind, KARATE, features=3, readout="flat")()
    x = torch.randn(5, 34, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        slow = []
        for each in x:
            for layer in network.convolutions:
                each = layer(each, KARATE).relu()
            slow.append(network.readout(each.flatten()))
        assert torch.allclose(network(x), torch.stack(slow), atol=1e-5)


@pytest.mark.parametrize("kind", ["gcn", "gat"])
def test_training_follows_on_a_graph(kind, tmp_path):
    """Karate club: the strongest mode, and the fastest."""
    v = modes.graph_modes(KARATE)
    found = an.energies(graphs.factory(kind, KARATE, hidden=8), v).mean
    chosen = v.directions[[int(found.argmax()), int(found.argmin())]]
    table = an.sweep(
        graphs.factory(kind, KARATE, hidden=8, num_outputs=2), chosen, sigma=1.0, train_samples=400, test_samples=400,
        recipe=an.Recipe(epochs=6, batch_size=32), store=tmp_path, progress=False,
    )  # fmt: skip
    strong, weak = table.test_accuracy.values[:, 0]
    assert strong > 0.85 > 0.65 > weak


def test_a_result_is_filed_under_the_graph_too():
    def named(graph, **given):
        made = graphs.factory("gcn", graph, **given)
        return identity.architecture(made, None, made.input_shape)

    assert named(RING) == named(RING.flip(1))  # the same edges in another order
    assert named(RING)["name"] == "graph:gcn"
    others = [named(modes.grid(4, 4)), named(RING, readout="sum"), named(RING, layers=3), named(RING, hidden=8)]
    assert all(other != named(RING) for other in others)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: graphs.factory("sage", RING), "kind out of .*'gcn', 'cheb', 'gin', 'gat'.*, got 'sage'"),
        (lambda: graphs.factory("gcn", RING, readout="max"), "read-out out of .*'mean', 'sum', 'flat'"),
        (lambda: graphs.factory("gcn", RING, layers=0), "layers as a whole number of at least 1, got 0"),
        (lambda: graphs.factory("gcn", 2 * torch.ones(3, 3)), "edges all weigh 1"),
        (lambda: graphs.factory("gcn", RING)()(torch.zeros(2, 1, 16)), r"\(n, 16, 1\), got \(2, 1, 16\)"),
        (
            lambda: an.energies(graphs.factory("gcn", RING), torch.eye(16).view(16, 1, 16)),
            r"refuses an input of shape \(1, 16\): .*\(n, 16, 1\)",
        ),
    ],
)
def test_mistakes_are_named(call, said):
    with pytest.raises(ValueError, match=said):
        call()
