# Two stages: the second holds Node, its libraries and bearerd (tools/image.ts), and no shell. The base is an argument.
ARG BUILD_IMAGE=node:24-bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN npm ci && npm run build && node tools/image.ts /image

FROM scratch
COPY --from=build /image /
USER 65532:65532
ENTRYPOINT ["/usr/bin/node", "/app/bin/bearerd.js"]
CMD ["--help"]
