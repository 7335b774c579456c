#!/bin/sh
# Runs Redis. Its settings come through a pipe: what is an argument, or in a file, could be read by others.
# A quarter of the memory is left for the copy on write with which it writes its file anew.
set -eu
settings="
bind * -::*
port 6379
dir /var/lib/redis
databases $DATABASES
maxmemory $((MEMORY_BYTES / 4 * 3))
maxmemory-policy $EVICTION
save \"\"
appendonly yes
appendfsync no
requirepass $PASSWORD
"
unset PASSWORD
exec redis-server - <<END
$settings
END
