# Two images: `portcullis`, the binary and what it links to in an otherwise empty root, and `init`,
# which prepares the stack of docker-compose.yml. The bases are arguments, so that a mirror can be used;
# CARGO_PROFILE=dev builds sooner, for a try.

ARG RUST_IMAGE=rust:1.95.0-bookworm
ARG DEBIAN_IMAGE=debian:12.12-slim

FROM ${RUST_IMAGE} AS build
ARG CARGO_PROFILE=release
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile "$CARGO_PROFILE" --locked --bin portcullis && \
    scripts/image-root "target/$(echo "$CARGO_PROFILE" | sed 's/^dev$/debug/')/portcullis" /root-of-image && \
    mkdir /data-of-image && mv /root-of-image/var/lib/portcullis /data-of-image

FROM ${DEBIAN_IMAGE} AS init
RUN apt-get update && apt-get install -y --no-install-recommends openssl && rm -rf /var/lib/apt/lists/*
WORKDIR /portcullis
COPY nginx nginx
COPY deploy/stack deploy/stack
COPY scripts scripts
CMD ["scripts/stack-init"]

FROM scratch AS portcullis
COPY --from=build /root-of-image /
# Its owner is set only where it does not exist yet, and only as an entry of what is copied.
COPY --from=build --chown=65532:65532 /data-of-image /var/lib
USER 65532:65532
WORKDIR /var/lib/portcullis
ENV PATH=/usr/bin
EXPOSE 8080 9000 9100
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=3s --timeout=4s --start-period=10s --retries=20 CMD ["portcullis", "health"]
ENTRYPOINT ["portcullis"]
CMD ["serve"]
