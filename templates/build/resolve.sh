# Resolves an environment to a lock in a container of its own: a package that must be built to tell what it needs runs
# code of the repository's choice, and keeps nothing but what it says. Runs in namespaces of its own.
# Arguments: the base image, the folder of the host's settings, the folder with what is asked for, more folders to mount.
# Prints the lock behind a line that says so.
set -eu
container=$(buildah from --pull-never "$1")
trap 'buildah rm "$container" >/dev/null' EXIT
host=$2 asked=$3
shift 3
buildah run --isolation oci --runtime runc --network host --user 1000 \
    --volume "$host:/run/binder:ro" --volume "$asked:/run/asked:ro" "$@" "$container" -- \
    /bin/sh -c '. /run/binder/environment && cd /run/asked && uv pip compile --quiet \
        --python /usr/bin/python3 --no-header --no-annotate --generate-hashes --no-emit-index-url \
        --cache-dir /tmp/uv --output-file /tmp/lock requirements.txt jupyter.txt && echo "--- lock ---" && cat /tmp/lock'
