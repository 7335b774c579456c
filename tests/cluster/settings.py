"""What the daemons are told: pure texts, and the arguments that name them.

Source: https://kubernetes.io/docs/reference/config-api/, https://kubernetes.io/docs/reference/command-line-tools-reference/
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cluster.layout import (
    CGROUP,
    DNS_ADDRESS,
    DOMAIN,
    HOST_REGISTRY,
    NODE,
    NODE_ADDRESS,
    PODS,
    REGISTRY,
    SERVICES,
    Folder,
)

CONTAINERD_SOCKET = Path("/run/containerd/containerd.sock")
SLIRP_DNS = "10.0.2.3"
"""Where slirp4netns answers for this machine's resolver."""
_CNI_PLUGINS = "/usr/lib/cni"


def settings_for(folder: Folder) -> Mapping[str, str]:
    """Return the files that the daemons read: name below `folder.settings` → text."""
    certificates = folder.certificates
    return {
        "outside.nft": _OUTSIDE_NFT,
        "resolv.conf": f"nameserver {SLIRP_DNS}\n",
        "registry.json": json.dumps(
            {
                "version": 0.1,
                "storage": {
                    "filesystem": {"rootdirectory": str(folder.data / "registry")},
                    "delete": {"enabled": True},
                },
                "http": {"addr": REGISTRY, "secret": "any"},
            }
        ),
        **{
            # By plain HTTP alone: what is not there is said to be so, and is not asked for once more by TLS.
            f"registries/{place}/hosts.toml": f'server = "http://{place}"\n[host."http://{place}"]\n'
            '  capabilities = ["pull", "resolve"]\n'
            for place in (REGISTRY, HOST_REGISTRY)
        },
        "containerd.toml": _containerd(folder),
        "cni/pods.conflist": json.dumps(_CNI),
        "kubelet.json": json.dumps(
            _KUBELET
            | {
                "authentication": {
                    "anonymous": {"enabled": False},
                    "webhook": {"enabled": True},
                    "x509": {"clientCAFile": str(certificates / "ca.crt")},
                },
                "tlsCertFile": str(certificates / "kubelet-server.crt"),
                "tlsPrivateKeyFile": str(certificates / "kubelet-server.key"),
                "resolvConf": str(folder.settings / "resolv.conf"),
                "podLogsDir": str(folder.data / "pod-logs"),
                "cgroupRoot": f"/{CGROUP}",
            }
        ),
        "kube-proxy.json": json.dumps(
            _KUBE_PROXY | {"clientConnection": {"kubeconfig": str(certificates / "kube-proxy.kubeconfig")}}
        ),
    }


# What a pod sends to the world outside comes from the node, as slirp4netns wants it.
_OUTSIDE_NFT = f"""\
table ip outside {{
    chain leaving {{
        type nat hook postrouting priority srcnat
        ip saddr {PODS} oifname "outside" masquerade
    }}
}}
"""

# Each pod hangs on a wire of its own: what pods say to each other is routed, and passes the network policies.
_CNI = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni-addresses",
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}

_KUBELET: dict[str, object] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
    "clusterDNS": [DNS_ADDRESS],
    "clusterDomain": DOMAIN,
    "authorization": {"mode": "Webhook"},
    "cgroupDriver": "cgroupfs",
    "failCgroupV1": False,
    "failSwapOn": False,
    # Root of a container or a virtual machine may not always make itself less likely to be ended.
    "oomScoreAdj": 0,
    "makeIPTablesUtilChains": False,
    "serializeImagePulls": False,
    "nodeStatusMaxImages": -1,
    # What else fills this machine's disk is not the cluster's to clean up.
    "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    "imageGCHighThresholdPercent": 100,
}

_KUBE_PROXY: dict[str, object] = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "nftables",
    "clusterCIDR": PODS,
    "hostnameOverride": NODE,
    # The kernel's limits on connections are the machine's.
    "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
}


def _containerd(folder: Folder) -> str:
    return f"""\
version = 2
root = "{folder.data / "containerd"}"
state = "/run/containerd"
oom_score = 0
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{REGISTRY}/pause:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{_CNI_PLUGINS}"
conf_dir = "{folder.settings / "cni"}"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{folder.settings / "registries"}"
[plugins."io.containerd.internal.v1.opt"]
path = "{folder.data / "opt"}"
"""


def arguments_for(folder: Folder, programs: Mapping[str, Path]) -> Mapping[str, Sequence[str]]:
    """Return what runs on the node: name → program and arguments."""
    files, data, settings = folder.certificates, folder.data, folder.settings

    def flagged(name: str, **flags: object) -> Sequence[str]:
        return [str(programs[name]), *(f"--{flag.replace('_', '-')}={value}" for flag, value in flags.items())]

    return {
        # It is gone with the node: nothing need be on the disk.
        "etcd": [str(programs["etcd"]), "--data-dir", str(data / "etcd"), "--unsafe-no-fsync"],
        "registry": ["docker-registry", "serve", str(settings / "registry.json")],
        "containerd": ["containerd", "--config", str(settings / "containerd.toml")],
        "kube-apiserver": flagged(
            "kube-apiserver",
            advertise_address=NODE_ADDRESS,
            etcd_servers="http://127.0.0.1:2379",
            service_cluster_ip_range=SERVICES,
            authorization_mode="Node,RBAC",
            enable_admission_plugins="NodeRestriction",
            allow_privileged="true",
            client_ca_file=files / "ca.crt",
            tls_cert_file=files / "kube-apiserver.crt",
            tls_private_key_file=files / "kube-apiserver.key",
            kubelet_certificate_authority=files / "ca.crt",
            kubelet_client_certificate=files / "kubelet-client.crt",
            kubelet_client_key=files / "kubelet-client.key",
            kubelet_preferred_address_types="InternalIP",
            service_account_issuer=f"https://kubernetes.default.svc.{DOMAIN}",
            service_account_key_file=files / "service-accounts.pub",
            service_account_signing_key_file=files / "service-accounts.key",
        ),
        "kube-controller-manager": flagged(
            "kube-controller-manager",
            kubeconfig=files / "kube-controller-manager.kubeconfig",
            root_ca_file=files / "ca.crt",
            service_account_private_key_file=files / "service-accounts.key",
            use_service_account_credentials="true",
            leader_elect="false",
            bind_address="127.0.0.1",
        ),
        "kube-scheduler": flagged(
            "kube-scheduler",
            kubeconfig=files / "kube-scheduler.kubeconfig",
            leader_elect="false",
            bind_address="127.0.0.1",
        ),
        "kubelet": flagged(
            "kubelet",
            config=settings / "kubelet.json",
            kubeconfig=files / "kubelet.kubeconfig",
            root_dir=data / "kubelet",
            cert_dir=data / "kubelet-certificates",
            hostname_override=NODE,
            node_ip=NODE_ADDRESS,
        ),
        "kube-proxy": flagged("kube-proxy", config=settings / "kube-proxy.json"),
        # Of what it can do, only that network policies are enforced.
        "kube-router": flagged(
            "kube-router",
            kubeconfig=files / "kube-router.kubeconfig",
            hostname_override=NODE,
            service_cluster_ip_range=SERVICES,
            run_firewall="true",
            run_router="false",
            run_service_proxy="false",
        ),
    }
