# Two images: `portcullis`, the binary and what it links to in an otherwise empty root, and `init`,
# which prepares the stack of docker-compose.yml. The bases are arguments, so that a mirror can be used.

ARG RUST_IMAGE=rust:1.95.0-bookworm
ARG DEBIAN_IMAGE=debian:12.12-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin portcullis && \
    scripts/image-root target/release/portcullis /root-of-image

FROM ${DEBIAN_IMAGE} AS init
RUN apt-get update && apt-get install -y --no-install-recommends openssl && rm -rf /var/lib/apt/lists/*
WORKDIR /portcullis
COPY nginx nginx
COPY deploy/stack deploy/stack
COPY scripts scripts
CMD ["scripts/stack-init"]

FROM scratch AS portcullis
COPY --from=build /root-of-image /
COPY --from=build --chown=65532:65532 /root-of-image/var/lib/portcullis /var/lib/portcullis
USER 65532:65532
WORKDIR /var/lib/portcullis
ENV PATH=/usr/bin
EXPOSE 8080 9000 9100
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=3s --timeout=4s --start-period=10s --retries=20 CMD ["portcullis", "health"]
ENTRYPOINT ["portcullis"]
CMD ["serve"]
