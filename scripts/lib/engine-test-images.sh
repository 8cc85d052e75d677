# The checks of scripts/engine-test of images: the product's own, and the tests of the stores on those of others.
# Sourced, never run. Needs stack-test.sh and images.sh.
# shellcheck shell=sh

# The tests of the stores once more, on what containers are made of; testcontainers starts and ends them.
stores_in_containers() {
    (cd "$ROOT" && cargo run --locked --quiet --package portcullis-testkit --features containers --bin with-containers -- \
        cargo test --locked --workspace --test it -- store:: redis:: replicas::) 2>&1 | tee "$WORK/stores" | tail -n 40
    # Both suites ran, and of both there were tests.
    [ "$(grep -c '^test result: ok. [1-9]' "$WORK/stores")" -eq 2 ] && ! grep -q 'test result: FAILED' "$WORK/stores"
}

# No shell, no package manager, nobody's rights; only what the binary links to.
bare_image() {
    docker image inspect --format '{{.Config.User}} {{.Config.Healthcheck.Test}}' "$STACK_IMAGE" | tee "$WORK/image"
    grep -qx '65532:65532 \[CMD portcullis health\]' "$WORK/image" || return 1
    docker create --name "$COMPOSE_PROJECT_NAME-look" "$STACK_IMAGE" && docker export "$COMPOSE_PROJECT_NAME-look" | tar -t | grep -v '/$' >"$WORK/files"
    docker rm "$COMPOSE_PROJECT_NAME-look" && grep -E '(^|/)(bin|sbin)/' "$WORK/files" | tee "$WORK/programs"
    [ "$(cat "$WORK/programs")" = usr/bin/portcullis ]
}
# The budget is that of a release; a debug build has twice as much.
small_image() {
    size=$(docker image inspect --format '{{.Size}}' "$STACK_IMAGE") limit=32000000
    [ "${STACK_CARGO_PROFILE:-release}" = release ] || limit=80000000
    say "$size bytes" && [ "$size" -le "$limit" ]
}
