# The image of the product: web, worker or both, by its command. PostgreSQL runs elsewhere, so the embedded one (an
# optional dependency) is left out.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=optional
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && npm ci --omit=dev --omit=optional

FROM node:24.21.0-bookworm-slim
# Few arenas of malloc that give back what is free, and a small young generation below: 60 MB less memory (docs/operations.md).
ENV NODE_ENV=production MALLOC_ARENA_MAX=2 MALLOC_TRIM_THRESHOLD_=131072
COPY --from=build /app/package.json /app/
COPY --from=build /app/node_modules /app/node_modules
COPY --from=build /app/dist /app/dist
# Where calendars.yaml and the files that it names are looked for.
WORKDIR /config
USER 1000:1000
EXPOSE 3000
ENTRYPOINT ["node", "--max-semi-space-size=2", "/app/dist/main.js"]
CMD ["serve"]
