"""Whom a NetworkPolicy lets in or out, from the words of a setting."""

from templates import Json


def peer_of(place: str) -> Json:
    """Return the NetworkPolicyPeer of a network (`10.1.2.0/24`) or of all pods of a namespace (`registry`)."""
    if "/" in place:
        return {"ipBlock": {"cidr": place}}
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place}}}
