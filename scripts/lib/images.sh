# Images of the stack for a test. With somebody's engine those that docker-compose.yml names; with our own,
# where no registry is asked, stand-ins of Debian's packages (tests/images/Dockerfile).
# Sourced, never run. Needs common.sh and engine.sh.
# shellcheck shell=sh

TEST_IMAGES=portcullis-test
STACK_IMAGE=$TEST_IMAGES/portcullis:1
STACK_INIT_IMAGE=$TEST_IMAGES/init:1
export STACK_IMAGE STACK_INIT_IMAGE

# Prints the image that a variable of docker-compose.yml stands for.
# usage: image_of RUST|DEBIAN
image_of() { eval "echo \"$(grep -oE "\\$\{STACK_$1_IMAGE:-[^}]*\}" docker-compose.yml | head -n 1)\""; }

# usage: stand_in NAME CONTEXT
stand_in() {
    docker build --quiet --build-arg "DEBIAN_IMAGE=$STACK_DEBIAN_IMAGE" --file tests/images/Dockerfile --target "$1" --tag "$TEST_IMAGES/$1:1" "$2" >/dev/null
}

# Debian itself, with the authorities that this machine trusts, so that packages and crates come from where they come here.
debian_stand_in() {
    STACK_DEBIAN_IMAGE=$TEST_IMAGES/debian:12
    export STACK_DEBIAN_IMAGE
    ! docker image inspect "$STACK_DEBIAN_IMAGE" >/dev/null 2>&1 || return 0
    has debootstrap || return 77
    debootstrap --variant=minbase bookworm "$WORK/debian" >"$WORK/debootstrap.log" 2>&1 || { tail -n 5 "$WORK/debootstrap.log" && return 1; }
    mkdir -p "$WORK/debian/etc/ssl/certs" && cp -L /etc/ssl/certs/ca-certificates.crt "$WORK/debian/etc/ssl/certs/"
    tar -C "$WORK/debian" -c . | docker import - "$STACK_DEBIAN_IMAGE" >/dev/null
    rm -rf "$WORK/debian"
}

# Sets the variables of docker-compose.yml for the images that a test of the stack needs.
stand_ins() {
    debian_stand_in && stand_in rust "$(rustc --print sysroot)" || return
    for name in postgres redis nginx prometheus; do stand_in "$name" tests/images || return; done
    STACK_RUST_IMAGE=$TEST_IMAGES/rust:1 STACK_POSTGRES_IMAGE=$TEST_IMAGES/postgres:1 STACK_REDIS_IMAGE=$TEST_IMAGES/redis:1
    STACK_NGINX_IMAGE=$TEST_IMAGES/nginx:1 STACK_PROMETHEUS_IMAGE=$TEST_IMAGES/prometheus:1
    export STACK_RUST_IMAGE STACK_POSTGRES_IMAGE STACK_REDIS_IMAGE STACK_NGINX_IMAGE STACK_PROMETHEUS_IMAGE
}

# Both images of the product, from the files of this checkout.
product_images() {
    for target in portcullis init; do
        docker build --quiet --build-arg "RUST_IMAGE=$(image_of RUST)" --build-arg "DEBIAN_IMAGE=$(image_of DEBIAN)" \
            --build-arg "CARGO_PROFILE=${STACK_CARGO_PROFILE:-release}" --target "$target" --tag "$TEST_IMAGES/$target:1" . || return
    done
}
