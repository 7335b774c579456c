# Bootstraps Debian straight into a new image. Runs in namespaces of its own, in which it is root over nothing else.
# Arguments: the image's name, Debian's suite, its packages (comma-separated), the host's apt sources, its apt options.
set -eu
container=$(buildah from scratch)
folder=$(buildah mount "$container")
mmdebstrap --mode=root --variant=minbase --skip=check/qemu,output/dev --format=directory \
    --aptopt="$5" --include="$3" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook='rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* "$1"/etc/hostname "$1"/etc/resolv.conf' \
    --customize-hook='rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/var/log/*.log "$1"/var/log/apt/*' \
    --customize-hook='chroot "$1" useradd --uid 1000 --create-home --shell /bin/bash jovyan' \
    --customize-hook='install -d -o 1000 -g 1000 "$1"/opt/binder' \
    "$2" "$folder" ${4:+"$4"}
buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env LANG=C.UTF-8 "$container"
buildah commit --quiet --rm "$container" "$1"
