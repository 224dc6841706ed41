# Two stages: the second holds Node, its libraries and bearerd (tools/image.ts), and no shell. The base is an argument.
ARG BUILD_IMAGE=node:24-bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN npm ci && npm run build && node tools/image.ts /image

FROM scratch
COPY --from=build /image /
USER 65532:65532
# What bin/bearerd.js would start `serve` anew with, where process 1 of a container does not notice a SIGTERM; it takes them off
# for what does not serve.
ENV MALLOC_ARENA_MAX=1
ENTRYPOINT ["/usr/bin/node", "--max-semi-space-size=2", "--max-old-space-size=256", "--disable-sigusr1", "/app/bin/bearerd.js"]
CMD ["--help"]
