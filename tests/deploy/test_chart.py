"""What helm renders of the chart: such as Kubernetes knows, closed where it can be, and without a secret in the open.

They need helm, which is built from Go modules as the cluster's programs are, but no cluster.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.api import Object
from tests.cluster.helm import CHART, Helm, HelmRefused, main
from tests.kubernetes_schema import objections_to

pytestmark = pytest.mark.cluster

_VALUES = Path(__file__).parent / "chart_values"
_SAMPLES = sorted(path.stem for path in _VALUES.glob("*.yaml"))
_OF_NO_NAMESPACE = {"Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass"}
_SECRETS = (
    "registry-password",
    "key-of-the-app",
    "webhook-secret",
    "client-secret",
    "metrics-token",
    "api-token",
    "database-password",
)


def _values(sample: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((_VALUES / f"{sample}.yaml").read_text(encoding="utf-8"))
    return values


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"))


def _pods(manifests: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Give the specifications of pods: the part's name → what its pods are."""
    for manifest in manifests:
        if "template" in manifest.get("spec", {}):
            labels = manifest["spec"]["template"]["metadata"]["labels"]
            yield labels["app.kubernetes.io/component"], manifest["spec"]["template"]["spec"]


def _of(manifests: Sequence[Object], kind: str, name: str) -> Object:
    found = [one for one in manifests if one["kind"] == kind and one["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}"
    return found[0]


@pytest.mark.parametrize("sample", _SAMPLES)
def test_helm_finds_no_fault_in_the_chart(helm: Helm, sample: str) -> None:
    assert "0 chart(s) failed" in helm.run("lint", "--strict", str(CHART), values=_values(sample))


@pytest.mark.parametrize("sample", _SAMPLES)
def test_kubernetes_knows_every_field_of_what_the_chart_renders(helm: Helm, sample: str) -> None:
    manifests = helm.rendered(_values(sample))
    assert [said for manifest in manifests if (said := objections_to(manifest))] == []
    places = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in manifests]
    assert len(places) == len(set(places))
    assert [place for place in places if (place[1] is None) != (place[0] in _OF_NO_NAMESPACE)] == []


@pytest.mark.parametrize("sample", _SAMPLES)
def test_every_pod_has_the_least_that_it_needs(helm: Helm, sample: str) -> None:
    pods = dict(_pods(helm.rendered(_values(sample))))
    others = {"smallest": {"database"}, "everything": {"database", "placeholders"}, "others": set()}
    assert set(pods) == {"proxy", "controller"} | others[sample]
    for part, pod in pods.items():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"requests", "limits"} <= container["resources"].keys()
        # Only the controller has anything to ask of the API server.
        assert pod.get("automountServiceAccountToken", True) is (part == "controller")
        assert ("serviceAccountName" in pod) is (part == "controller")


def test_a_secret_stands_in_secrets_alone(helm: Helm) -> None:
    manifests = helm.rendered(_values("everything"))
    kept = [one for one in manifests if one["kind"] == "Secret"]
    texts = [base64.b64decode(value).decode() for one in kept for value in one["data"].values()]
    for secret in _SECRETS:
        assert any(secret in text for text in texts), secret
    in_the_open = json.dumps([one for one in manifests if one["kind"] != "Secret"])
    encoded = [base64.b64encode(secret.encode()).decode().rstrip("=") for secret in _SECRETS]
    assert not [secret for secret in (*_SECRETS, *encoded) if secret in in_the_open]


def test_the_app_s_key_and_the_registry_s_password_are_not_given_to_who_meets_visitors(helm: Helm) -> None:
    pods = dict(_pods(helm.rendered(_values("everything"))))
    for word in ("private-key", "REGISTRY_PASSWORD", "pip.conf", "mirrors.sources"):
        assert word not in json.dumps(pods["proxy"])
        assert word in json.dumps(pods["controller"])


def test_folders_of_the_operators_are_mounted_in_both_parts(helm: Helm) -> None:
    manifests = helm.rendered(_values("everything"))
    data = _of(manifests, "ConfigMap", "binder")["data"]
    assert (data["BINDER_MODULES"], data["BINDER_TEMPLATES"]) == ("/run/modules", "/run/templates")
    for part, pod in _pods(manifests):
        if part in {"proxy", "controller"}:
            (container,) = pod["containers"]
            mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
            volumes = {one["name"]: one for one in pod["volumes"]}
            assert (mounts["modules"], mounts["templates"]) == ("/run/modules", "/run/templates")
            assert volumes["modules"]["persistentVolumeClaim"] == {"claimName": "my-modules", "readOnly": True}
            assert volumes["templates"]["configMap"]["items"] == [{"key": "page", "path": "pages/front.html"}]


def test_settings_become_what_the_service_reads(helm: Helm) -> None:
    data = _of(helm.rendered(_values("everything")), "ConfigMap", "binder")["data"]
    assert data["BINDER_SESSION_MEMORY_BYTES"] == "4294967296"
    assert data["BINDER_SESSION_CPUS"] == "0.5"
    assert data["BINDER_LOG_JSON"] == "false"
    assert data["BINDER_OPERATORS"] == "ada,bob"
    assert data["BINDER_NAMESPACE"] == "notebooks"
    assert data["BINDER_SESSION_PULL_SECRETS"] == "binder-registry"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"setings": {}}, "additional properties 'setings' not allowed"),
        ({"settings": {"session_idle": 900}}, "additional properties 'session_idle' not allowed"),
        ({"settings": {"session_idle_seconds": 1}}, "minimum: got 1, want 60"),
        ({"settings": {"registry_password": "x"}}, "additional properties 'registry_password' not allowed"),
        ({"url": "binder.example.org"}, "'/url'"),
        ({"url": ""}, "`url` is missing"),
        ({"images": {"service": ""}}, "`images.service` is missing"),
        ({"registry": {"repository": ""}}, "`registry.repository` is missing"),
    ],
)
def test_what_is_wrong_with_values_is_said(helm: Helm, change: Mapping[str, Any], said: str) -> None:
    values = _values("smallest")
    for name, value in change.items():
        known = values.get(name)
        values[name] = {**known, **value} if isinstance(known, dict) else value
    with pytest.raises(HelmRefused) as refused:
        helm.rendered(values)
    assert said in str(refused.value)


def _begins_of(manifests: Sequence[Object]) -> dict[str, Object]:
    deployments = [one["spec"]["template"]["metadata"] for one in manifests if one["kind"] == "Deployment"]
    return {each["labels"]["app.kubernetes.io/component"]: each.get("annotations") for each in deployments}


def test_a_changed_secret_begins_the_pods_anew(helm: Helm) -> None:
    values = _values("everything")
    before = _begins_of(helm.rendered(values))
    values["github"]["clientSecret"] = "another"
    after = _begins_of(helm.rendered(values))
    assert {part for part in before if before[part] != after[part]} == {"proxy", "controller"}


def test_two_releases_have_nothing_in_common(helm: Helm) -> None:
    one = helm.rendered(_values("smallest"))
    text = helm.run("template", "other", str(CHART), "--namespace", "elsewhere", values=_values("smallest"))
    other = [manifest for manifest in yaml.safe_load_all(text) if manifest]
    places = [
        {(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in manifests}
        for manifests in (one, other)
    ]
    assert not places[0] & places[1]


def test_plain_manifests_are_not_made_where_each_time_they_would_be_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["helm", "--values", str(_VALUES / "smallest.yaml")])
    with pytest.raises(SystemExit, match=r"database\.embedded\.password"):
        main()


def test_what_watches_is_there_where_it_is_asked_for(helm: Helm) -> None:
    """The rules are of a kind that Kubernetes itself does not know."""
    plain = helm.rendered(_values("smallest"))
    watched = helm.rendered({**_values("smallest"), "monitoring": {"rules": True, "dashboard": True}})
    assert len(watched) == len(plain) + 2
    files = CHART / "files" / "monitoring"
    rules = _of(watched, "PrometheusRule", "binder")
    assert rules["spec"] == yaml.safe_load((files / "alerts.yaml").read_text(encoding="utf-8"))
    dashboard = _of(watched, "ConfigMap", "binder-dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(dashboard["data"]["binder.json"]) == json.loads((files / "dashboard.json").read_text("utf-8"))
