"""A cluster for work by hand: `python -m tests.cluster up`, and `down`; `build` brings what is needed for it."""

import sys

from binder.settings import read_settings
from tests.cluster.programs import build_programs
from tests.cluster.reasons import CannotRun
from tests.cluster.running import cluster_down, cluster_up


def main() -> None:
    """Start a cluster and print where its kubeconfig is, or end it, or build its programs."""
    cache = read_settings().cache_dir
    try:
        match sys.argv[1:]:
            case ["up"]:
                print(cluster_up(cache))
            case ["build"]:
                build_programs(cache)
            case ["down"]:
                cluster_down(cache)
            case _:
                sys.exit("usage: python -m tests.cluster build|up|down")
    except CannotRun as error:
        sys.exit(f"cluster: {error}")


if __name__ == "__main__":
    main()
