"""On which nodes a repository is built best."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from build.cluster.nodes import affinity_for, by_preference

_NODES = st.sets(st.text("abc-123", min_size=1, max_size=8), min_size=1, max_size=6)


@given(st.text(), _NODES)
def test_the_order_of_the_list_makes_no_difference(repository: str, nodes: set[str]) -> None:
    assert by_preference(repository, sorted(nodes)) == by_preference(repository, sorted(nodes, reverse=True))
    assert set(by_preference(repository, nodes)) == nodes


@given(st.text(), _NODES)
def test_a_node_that_goes_moves_only_its_own_repositories(repository: str, nodes: set[str]) -> None:
    first, *others = by_preference(repository, nodes)
    assert by_preference(repository, others) == others
    for gone in others:
        assert by_preference(repository, nodes - {gone})[0] == first


def test_repositories_are_spread() -> None:
    nodes = [f"node-{number}" for number in range(4)]
    count = Counter(by_preference(f"https://example.org/{number}", nodes)[0] for number in range(400))
    assert min(count[node] for node in nodes) > 60


def test_a_pod_prefers_two_nodes_and_must_have_none() -> None:
    nodes = ["a", "b", "c"]
    affinity = affinity_for("r", nodes)
    assert isinstance(affinity, dict)
    assert affinity == {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": weight,
                    "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
                }
                for weight, node in zip((100, 50), by_preference("r", nodes), strict=False)
            ]
        }
    }
    assert affinity_for("r", []) == {}
