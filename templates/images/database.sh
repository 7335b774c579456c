#!/bin/sh
# Runs PostgreSQL on the folder that is mounted; an empty one becomes a database first, whole or not at all.
# The password comes in a file, for the first start alone: later it is changed in the database.
set -eu
data=/var/lib/database/data
if [ ! -e "$data/PG_VERSION" ]; then
    rm -rf "$data" "$data.new"
    initdb --pgdata "$data.new" --username binder --pwfile /run/password/password --auth scram-sha-256 \
        --encoding UTF8 --locale C.UTF-8 --data-checksums
    echo 'CREATE DATABASE binder' | postgres --single -D "$data.new" postgres
    echo 'host all all all scram-sha-256' >>"$data.new/pg_hba.conf"
    sync
    mv "$data.new" "$data"
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp -c logging_collector=off \
    -c max_connections=200
