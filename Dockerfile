FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go run ./internal/pack -prepare
RUN CGO_ENABLED=0 go build -trimpath -modfile=build/release/go.mod -ldflags="-s -w" -o /out/bankauth ./cmd/server
RUN mkdir /out/data

# No shell, no package manager, nobody to be root.
FROM gcr.io/distroless/static-debian12:nonroot
LABEL io.modelcontextprotocol.server.name="io.github.bankauth/bankauth" \
      org.opencontainers.image.source="https://github.com/bankauth/bankauth" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/bankauth /usr/local/bin/bankauth
# The vault outlives the container where /data does.
COPY --from=build --chown=65532:65532 /out/data /data
ENV BANKAUTH_DATA_DIR=/data
VOLUME /data
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/bankauth"]
CMD ["stdio"]
