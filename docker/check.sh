#!/usr/bin/env bash
# Builds the images, starts the composition, orders from it over HTTP and audits the books; then stops it and forgets its data.
# A composition of its own, beside that of `just up`, but on the same ports: run `just down` first.
# Arguments go to the demo, for example `--orders 2000`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'check: %s\n' "$*" >&2
    exit 1
}

command -v docker > /dev/null || fail "docker is not in PATH: install Docker with its compose plugin, from docs.docker.com/engine/install"
why=$(docker version 2>&1 > /dev/null) ||
    fail "no Docker engine answers: ${why:-docker version failed}; start one (sudo systemctl start docker), or name it with DOCKER_HOST"
docker compose version > /dev/null 2>&1 || fail "docker has no compose plugin: install docker-compose-plugin"

compose=(docker compose --project-name pavane-check --file docker/compose.yaml)

finish() {
    status=$?
    if [ "$status" != 0 ]; then
        "${compose[@]}" ps --all || true
        "${compose[@]}" logs --tail 50 || true
    fi
    "${compose[@]}" down --volumes || true
    exit "$status"
}
trap finish EXIT

"${compose[@]}" up --build --detach --wait
cargo demo --attach "$@"
