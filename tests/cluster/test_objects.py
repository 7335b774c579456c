"""What is left of a test is told from what others do at the same time on the same cluster."""

from tests.cluster.objects import Place, left_behind

_BEFORE: set[Place] = {("v1 Namespace", "", "default"), ("v1 Secret", "default", "old")}


def test_what_is_of_nobody_else_is_left_behind() -> None:
    ours: set[Place] = {
        ("v1 Namespace", "", "t-1-builds"),
        ("v1 Pod", "t-1-builds", "job"),
        ("rbac.authorization.k8s.io/v1 ClusterRole", "", "t-1-controller"),
        ("v1 PersistentVolume", "", "pvc-1"),
        ("v1 ConfigMap", "kube-system", "t-1"),
    }
    assert left_behind(_BEFORE, _BEFORE | ours, ours="t-1") == sorted(ours)


def test_what_others_made_is_theirs() -> None:
    theirs: set[Place] = {
        ("v1 Namespace", "", "t-2"),
        ("v1 Pod", "t-2", "job"),
        ("rbac.authorization.k8s.io/v1 ClusterRole", "", "t-2-account"),
    }
    assert left_behind(_BEFORE, _BEFORE | theirs, ours="t-1") == []
