#!/bin/sh
# Runs PostgreSQL on a copy of the image's cluster; one that is there already, after a restart, is used again.
# The session's own password is set before anybody can connect, by a server that listens nowhere.
set -eu
data=/var/lib/postgresql/data
if [ ! -e "$data" ]; then
    rm -rf "$data.new"
    cp -r /opt/cluster/data "$data.new"
    chmod 0700 "$data.new"
    {
        echo "ALTER ROLE binder PASSWORD '$PASSWORD'"
        echo "CREATE DATABASE \"$DATABASE\""
    } | postgres --single -F -D "$data.new" template1 >/dev/null
    mv "$data.new" "$data"
fi
unset PASSWORD
# What is in memory goes with the session, and so does the disk: nothing has to be there after the machine's end.
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp -c logging_collector=off \
    -c max_connections="$CONNECTIONS" -c shared_buffers="$((MEMORY_BYTES / 4 / 1024))kB" \
    -c effective_cache_size="$((MEMORY_BYTES / 2 / 1024))kB" -c dynamic_shared_memory_type=mmap \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c jit=off -c max_wal_size=256MB
