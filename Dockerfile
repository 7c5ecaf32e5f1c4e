# docker build -t pooler .
# docker run -p 6432:6432 -v ./pooler.ini:/etc/pooler/pooler.ini:ro pooler
# In a container, listen_addr has to be * (or the container's address), and logs go to stderr.

FROM mcr.microsoft.com/dotnet/sdk:10.0 AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends clang zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY global.json ./
COPY src/ src/
RUN dotnet publish src/Pooler -c Release -o /out

# No shell, no package manager, a user that is not root: one binary and the libraries it links to.
FROM mcr.microsoft.com/dotnet/runtime-deps:10.0-noble-chiseled
COPY --from=build /out/pooler /usr/local/bin/pooler
USER $APP_UID
EXPOSE 6432
STOPSIGNAL SIGINT
ENTRYPOINT ["/usr/local/bin/pooler"]
CMD ["/etc/pooler/pooler.ini"]
