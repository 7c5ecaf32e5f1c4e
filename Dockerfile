# docker build -t pooler .
# docker run -p 6432:6432 -e POOLER_DATABASES__app='host=db dbname=app' -e POOLER_AUTH_TYPE=scram-sha-256 -e POOLER_USERLIST__app=secret pooler
# docker run -p 6432:6432 -v ./pooler.ini:/etc/pooler/pooler.ini:ro pooler /etc/pooler/pooler.ini
# docs/containers.md says more.

FROM mcr.microsoft.com/dotnet/sdk:10.0-noble AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY global.json ./
COPY src/ src/
RUN dotnet publish src/Pooler -c Release -o /out && mkdir /state

# No shell, no package manager: one binary, the C library and OpenSSL.
FROM mcr.microsoft.com/dotnet/runtime-deps:10.0-noble-chiseled
LABEL org.opencontainers.image.title="Pooler" \
      org.opencontainers.image.description="Connection pooler and router for PostgreSQL"
COPY --from=build /out/pooler /usr/local/bin/pooler
# For a volume, if cluster_state_file is to outlive the container.
COPY --from=build --chown=1654:1654 /state /var/lib/pooler

# What is of use only in a container; like all variables they beat a file. Nothing is written: no Unix socket, the log on standard error.
# Ten seconds is what docker stop waits: four for clients to leave, four for transactions to end.
ENV POOLER_LISTEN_ADDR=* \
    POOLER_HTTP_LISTEN_ADDR=* \
    POOLER_HTTP_PAGE=0 \
    POOLER_UNIX_SOCKET_DIR= \
    POOLER_SHUTDOWN_TIMEOUT=4

# A number, so that Kubernetes sees it is not root's.
USER 1654:1654
EXPOSE 6432 9127
HEALTHCHECK --interval=10s --timeout=5s CMD ["/usr/local/bin/pooler", "--probe=healthz"]
ENTRYPOINT ["/usr/local/bin/pooler"]
