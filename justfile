# The short names of what this repository can do. `just` lists them.

compose := "docker compose --project-name pavane --file docker/compose.yaml"

_default:
    @just --list --unsorted

# start the shop in containers, and wait until every service is healthy
up:
    {{ compose }} up --build --detach --wait

# place orders through real services in one process, and audit the books; for example: just demo --orders 2000
demo *arguments:
    cargo demo {{ arguments }}

# follow what the containers write
logs *services:
    {{ compose }} logs --follow {{ services }}

# stop the containers and forget their data
down:
    {{ compose }} down --volumes

# run every test; for example: just test -p order
test *arguments:
    cargo xtest {{ arguments }}

# check what CI checks
ci:
    .ci/run
