# Installs packages of Debian in an image of ours: `sh apt.sh SUITE PACKAGE…`. Sources, keys and proxies of apt come by
# mounts that are gone afterwards; so does all that apt writes down for itself.
set -eu
. /run/binder/environment
suite=$1
shift
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 APT_CONFIG=/tmp/apt/conf
mkdir -p /tmp/apt/lists/partial /tmp/apt/archives/partial
{
    cat /run/apt/apt.conf
    printf '%s "%s";\n' \
        Dir::Etc::SourceList "/run/apt/sources-$suite.list" Dir::Etc::SourceParts /dev/null \
        Dir::State::Lists /tmp/apt/lists Dir::Cache /tmp/apt Dir::Log /tmp/apt \
        Acquire::Languages none Acquire::Retries 3 APT::Install-Recommends false Dpkg::Use-Pty 0
} >/tmp/apt/conf
apt-get -qq update --error-on=any
apt-get -q install --yes --no-install-recommends "$@"
rm -rf /tmp/apt
find /var/cache /var/log -xdev -type f -delete
rm -f /var/lib/dpkg/*-old /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
