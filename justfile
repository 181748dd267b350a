# The short names of what this repository can do. `just` lists them.

compose := "docker compose --project-name pavane --file docker/compose.yaml"

_default:
    @just --list --unsorted

# start the shop in containers, and wait until every service is healthy
up:
    {{ compose }} up --build --detach --wait

# build the images, start the shop in containers, order from it, audit the books and stop it; for example: just check-containers --orders 2000
check-containers *arguments:
    docker/check.sh {{ arguments }}

# start the shop in containers with Prometheus (:9090), Grafana (:3000) and a viewer for traces (:16686)
observe:
    OTEL_EXPORTER_OTLP_ENDPOINT=http://jaeger:4318 {{ compose }} --profile observe up --build --detach --wait

# place orders through real services in one process, and audit the books; for example: just demo --orders 2000
demo *arguments:
    cargo demo {{ arguments }}

# book trips through real services in one process, and audit the books; for example: just travel --trips 2000
travel *arguments:
    cargo run --package travel -- {{ arguments }}

# follow what the containers write
logs *services:
    {{ compose }} logs --follow {{ services }}

# stop the containers and forget their data
down:
    {{ compose }} down --volumes

# run every test; for example: just test -p order
test *arguments:
    cargo xtest {{ arguments }}

# emit from programs that know nothing of Pavane (tokio-postgres, Diesel, SeaORM, psycopg), over real servers
from-sql *arguments:
    cargo test --manifest-path examples/from-sql/Cargo.toml --target-dir target {{ arguments }}

# feed many broken events, subjects, dead letters and HTTP bodies, by a seed of its own; for example: just fuzz 100000
fuzz cases="20000":
    FUZZ_CASES={{ cases }} FUZZ_SEED="${FUZZ_SEED:-$(date +%s)}" cargo xtest fuzz:: -- --nocapture

# let many sagas with a timer end, and see that no timer is left; for example: just timers 100000
timers sagas="100000":
    TIMER_SAGAS={{ sagas }} cargo test -p pavane-outbox --test it finished_sagas_leave -- --nocapture

# disturb the shop, or trips, on real servers for some minutes, by a seed, and check what happened; for example: just chaos 60 7, or just chaos 60 7 trips 100
chaos minutes="10" seed="14" what="the_shop" customers="16":
    CHAOS_SECONDS=$(({{ minutes }} * 60)) CHAOS_SEED={{ seed }} CHAOS_CUSTOMERS={{ customers }} CHAOS_HISTORY="{{ justfile_directory() }}/target/chaos-{{ what }}-{{ seed }}.jsonl" cargo test --release --workspace --bins --test it chaos::{{ what }} -- --nocapture

# check again what a run has kept
chaos-check history:
    cargo run -p pavane-testkit --example history -- {{ history }}

# make many requests of every service's OpenAPI description, by a seed of its own; for example: just api 1000
api examples="300":
    SCHEMATHESIS_EXAMPLES={{ examples }} SCHEMATHESIS_SEED="${SCHEMATHESIS_SEED:-$(date +%s)}" cargo xtest openapi:: -- --nocapture

# simulate the shop under faults; for example: just sim --total 100000, or just sim 42 to replay a seed
sim *arguments:
    cargo run --release --package shop-tests --example shop -- {{ arguments }}

# simulate travel bookings under faults, on PostgreSQL; for example: just sim-travel --total 1000, or just sim-travel 42 to replay a seed
sim-travel *arguments:
    cargo run --release --package travel --example travel -- {{ arguments }}

# measure beside raw anchors; for example: just bench consume relay
bench *arguments:
    cargo xbench {{ arguments }}

# check licences, bans, sources and known vulnerabilities of what is depended upon
deny:
    cargo xdeny

# check what is too slow for every change: each feature, the packages, the README's example, other drivers; or one of them: just release-check packages
release-check *arguments:
    cargo xrelease {{ arguments }}

# check what CI checks
ci:
    .ci/run
