set -eu
. /run/binder/environment
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 APT_CONFIG=/tmp/apt/conf
mkdir -p /tmp/apt/lists/partial /tmp/apt/archives/partial
touch /tmp/apt/began
{
    cat /run/apt/apt.conf
    printf '%s "%s";\n' \
        Dir::Etc::SourceList /run/apt/sources-bookworm.list  Dir::Etc::SourceParts /dev/null \
        Dir::State::Lists /tmp/apt/lists  Dir::Cache /tmp/apt  Dir::Log /tmp/apt \
        Acquire::Languages none  Acquire::Retries 3  APT::Install-Recommends false  Dpkg::Use-Pty 0
} >/tmp/apt/conf
[ -s /run/apt/sources-bookworm.list ] || { echo "E: This machine has no sources of apt for bookworm"; exit 100; }
# No service is started, whatever a package wishes.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
# Pages of the manual are left out, and yet some packages, a JRE among them, fail where they cannot link to theirs.
mkdir -p /usr/share/man/man1 /usr/share/man/man5 /usr/share/man/man7 /usr/share/man/man8

apt-get -qq update --error-on=any
# A name is a package's own or none: apt would take `python3-` for the wish to remove it, and `.` for a pattern.
set -- g++ tree
apt-cache pkgnames --all-names >/tmp/apt/names
unknown=
for name in "$@"; do
    grep -Fqx -e "$name" /tmp/apt/names || { echo "E: Unable to locate package $name"; unknown=1; }
done
[ -z "$unknown" ] || exit 100
apt-get indextargets --format '$(FILENAME)' 'Created-By: Packages' \
    | xargs /usr/lib/apt/apt-helper cat-file | sed -n 's/^Package: //p' >/tmp/apt/there
for name in r-cran-digest; do
    if grep -Fqx -e "$name" /tmp/apt/there; then set -- "$@" "$name"; fi
done
apt-get -q install --yes --no-install-recommends "$@"

find /usr/lib /usr/share -xdev -name '*.py' -cnewer /tmp/apt/began >/tmp/apt/python
if [ -s /tmp/apt/python ]; then
    /usr/bin/python3 -I -S -m compileall -qq -f --invalidation-mode unchecked-hash -i - </tmp/apt/python || true
fi
find /usr/share/man -mindepth 1 -delete
rm -rf /tmp/apt /usr/sbin/policy-rc.d /run/adduser /var/lib/dbus/machine-id
find /var/cache /var/log -xdev -type f -delete
rm -f /var/lib/dpkg/*-old /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
sed -E -i 's/^([^:]*:[^:]*):[0-9]+:/\1:1:/' /etc/shadow
if [ -e /etc/machine-id ]; then : >/etc/machine-id; fi
