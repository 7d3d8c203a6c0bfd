# The image of the sidecar: docker build -t leader-elector:0.1.0 .
# `cargo xtask image` makes the same one without a container engine; a test holds the two together.

FROM rust:1.95.0-bookworm AS build
WORKDIR /leasehold
COPY . .
# A named target keeps the flags away from build scripts and procedural macros, which cannot be static.
RUN RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --profile dist --package leasehold-sidecar --bin leader-elector --target "$(uname -m)-unknown-linux-gnu"
RUN install -D -m 0755 "target/$(uname -m)-unknown-linux-gnu/dist/leader-elector" /image/leader-elector && install -d -m 1777 /image/tmp

FROM scratch
COPY --from=build /image/ /
LABEL org.opencontainers.image.title="leader-elector"
LABEL org.opencontainers.image.description="Elects a leader on a Kubernetes Lease for a service that cannot be changed"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.version="0.1.0"
USER 65532:65532
ENTRYPOINT ["/leader-elector"]
