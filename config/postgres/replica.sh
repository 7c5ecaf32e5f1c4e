#!/usr/bin/env bash
# A replica's entry point: copies the primary (PRIMARY_HOST, else primary) if there is no data yet, then is one of its replicas.
set -euo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  PGPASSWORD=$POSTGRES_PASSWORD pg_basebackup -D "$PGDATA" -R -X stream -c fast -C -S "$REPLICA" \
    -d "host=${PRIMARY_HOST:-primary} port=${PRIMARY_PORT:-5432} user=replicator application_name=$REPLICA"
  chmod 700 "$PGDATA"
fi
exec docker-entrypoint.sh postgres "$@"
