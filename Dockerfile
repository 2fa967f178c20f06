# A static binary in an empty image, run by nobody in particular. Run it with a
# read-only root and a volume for the data directory:
#
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges \
#     -v watchword:/data -v ./watchword.yaml:/etc/watchword.yaml:ro \
#     watchword --data-dir /data --config /etc/watchword.yaml
#
# Inside a container the loopback is the container's own, so a configuration
# that listens beyond it, with TLS, is needed to reach the service; README.md
# says what that takes.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/watchword-server ./server \
 && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/watchword ./client/watchword \
 && install -d -m 0700 -o 65532 -g 65532 /out/data

FROM scratch
COPY --from=build /out/watchword-server /out/watchword /bin/
COPY --from=build --chown=65532:65532 /out/data /data
COPY LICENSE NOTICE /
USER 65532:65532
VOLUME /data
EXPOSE 9443 8443
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["/bin/watchword-server", "--data-dir", "/data", "health"]
ENTRYPOINT ["/bin/watchword-server"]
CMD ["--data-dir", "/data"]
