"""A Lease in a real cluster, written by an account that may do no more than that."""

from collections.abc import AsyncIterator

import pytest

from binder.cluster_lease import ClusterLease
from binder.errors import OperatorFault
from tests.cluster.given import Cluster, Namespace
from tests.deploy.conftest import connection_of

pytestmark = pytest.mark.cluster

RULES = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}]


@pytest.fixture
async def two(cluster: Cluster) -> AsyncIterator[tuple[Namespace, ClusterLease, ClusterLease]]:
    """A namespace, and one Lease in it as two processes see it."""
    with cluster.namespace() as namespace:
        async with connection_of(cluster, namespace.account(RULES)) as connection:
            one, other = [ClusterLease(connection, namespace=namespace.name, name="binder") for _ in range(2)]
            yield namespace, one, other


async def test_of_two_who_write_at_once_one_is_too_late(two: tuple[Namespace, ClusterLease, ClusterLease]) -> None:
    _, one, other = two
    assert await one.read() is None
    first = await one.write("one", None)
    assert first
    assert (first.holder, first.turns, first.seconds) == ("one", 1, 15.0)
    assert await other.write("other", None) is None
    assert await other.read() == first
    second = await other.write("other", first)
    assert second
    assert (second.holder, second.turns) == ("other", 2)
    assert await one.write("one", first) is None


async def test_a_renewal_changes_the_version_and_nothing_else(
    two: tuple[Namespace, ClusterLease, ClusterLease],
) -> None:
    _, one, _ = two
    first = await one.write("one", None)
    second = await one.write("one", first)
    assert first
    assert second
    assert second.version != first.version
    assert (second.holder, second.turns, second.acquired_at) == ("one", 1, first.acquired_at)


async def test_who_gives_it_up_leaves_it_to_anybody(two: tuple[Namespace, ClusterLease, ClusterLease]) -> None:
    _, one, other = two
    await one.write("", await one.write("one", None))
    free = await other.read()
    assert free
    assert (free.holder, free.seconds) == ("", 1.0)
    taken = await other.write("other", free)
    assert taken
    assert (taken.holder, taken.turns) == ("other", 2)


async def test_who_has_no_right_to_it_is_told_so(cluster: Cluster) -> None:
    with cluster.namespace() as namespace:
        async with connection_of(cluster, namespace.account([])) as connection:
            with pytest.raises(OperatorFault, match="leases"):
                await ClusterLease(connection, namespace=namespace.name, name="binder").read()
