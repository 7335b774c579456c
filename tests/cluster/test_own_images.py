"""Our own images on a real node: they run as anybody, hold what they should, and nothing of this host."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.cluster.given import RESTRICTED, Cluster, Namespace, until
from tests.cluster.own_images import pushed_images

# The first time, images are made of nothing: for minutes.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

_LOOK = """
id -u
find /run/binder /run/apt /run/credentials /run/asked /etc/apt/sources.list* /etc/pip.conf -type f 2>/dev/null
find / -xdev -writable -not -type l ! -path '/proc/*' ! -path '/dev/*' ! -path '/tmp*' ! -path '/var/tmp' 2>/dev/null
"""


@pytest.fixture(scope="module")
def images(cluster: Cluster) -> Mapping[str, str]:
    named: Mapping[str, str] = pushed_images(cluster.registry)["images"]
    return named


def _said(namespace: Namespace, name: str, image: str, *command: str) -> str:
    """Return what a command prints in an image that Pod Security's "restricted" allows to run."""
    pod: Any = namespace.pod(name, *command)
    pod["spec"]["containers"][0] |= {"image": image, "securityContext": dict(RESTRICTED)}
    started = namespace.start(pod)
    until(lambda: started.phase() in {"Succeeded", "Failed"}, f"{name} does not end", why=started.why, seconds=300)
    return started.log()


@pytest.mark.parametrize("name", ["service", "builder", "database"])
def test_an_image_is_its_user_s_to_run_and_nobody_s_to_change(
    cluster: Cluster, images: Mapping[str, str], name: str
) -> None:
    with cluster.namespace(pod_security="restricted") as namespace:
        said = _said(namespace, name, images[name], "sh", "-c", _LOOK).splitlines()
    own = {"/run/lock", "/home/jovyan", "/opt/binder", "/var/lib/binder", "/var/cache/binder", "/var/lib/database"}
    others = [line for line in said[1:] if not line.startswith("/home/jovyan/") and line not in own]
    assert said[0] == "1000"
    assert others == ([] if name == "database" else ["/etc/apt/sources.list.d/debian.sources"])


@pytest.mark.parametrize("name", ["service", "builder"])
def test_an_image_has_the_service_and_no_developer_s_tools(
    cluster: Cluster, images: Mapping[str, str], name: str
) -> None:
    with cluster.namespace(pod_security="restricted") as namespace:
        script = "binder --version; ls /opt/service/lib/python3*/site-packages; getcap /usr/bin/new?idmap 2>/dev/null"
        said = _said(namespace, name, images[name], "sh", "-c", script).splitlines()
    assert said[0].startswith("binder 0.")
    assert {"kubernetes", "sqlalchemy", "binder"} <= set(said)
    assert not {"pytest", "mypy", "hatchling", "playwright", "tests"} & set(said)
    rights = [line for line in said if "idmap" in line]
    ours = ["/usr/bin/newgidmap cap_setgid=ep", "/usr/bin/newuidmap cap_setuid=ep"]
    assert rights == (ours if name == "builder" else [])
