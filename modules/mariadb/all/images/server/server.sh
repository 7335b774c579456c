#!/bin/sh
# Runs MariaDB on a copy of the image's databases; one that is there already, after a restart, is used again.
# What the server does first, before it answers anybody, makes the session's own account and database.
set -eu
umask 077
data=/var/lib/mysql/data
first=/tmp/first.sql
if [ ! -e "$data" ]; then
    rm -rf "$data.new"
    cp -r /opt/databases/data "$data.new"
    mv "$data.new" "$data"
fi
cat >"$first" <<END
DELETE FROM mysql.global_priv WHERE User = 'root';
FLUSH PRIVILEGES;
CREATE DATABASE IF NOT EXISTS \`$DATABASE\`;
CREATE OR REPLACE USER binder@'%' IDENTIFIED BY '$PASSWORD';
GRANT ALL ON *.* TO binder@'%' WITH GRANT OPTION;
END
unset PASSWORD MYSQL_PWD
exec mariadbd --defaults-file=/etc/mysql/binder.cnf --datadir="$data" --init-file="$first" --bind-address=0.0.0.0 \
    --max-connections="$CONNECTIONS" --innodb-buffer-pool-size="$((MEMORY_BYTES / 4))"
