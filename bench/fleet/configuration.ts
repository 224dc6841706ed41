// What every app of the fleet is told: ten audiences of one provider, one Redis.
export const FLEET_CLIENT = 'fleet';
export const FLEET_SECRET = 'the secret of the fleet';
export const AUDIENCES = Array.from({ length: 10 }, (_, i) => `urn:audience-${i}`);
export const HOSTS = AUDIENCES.map((_, i) => `a${i}.example.com`);

export interface FleetPlaces {
  readonly issuerPort: number;
  /** undefined = without a shared cache. */
  readonly redisPort: number | undefined;
  /** 32 bytes, base64. */
  readonly key: string;
}

export function fleetConfiguration({ issuerPort, redisPort, key }: FleetPlaces, socket: string): string {
  const sources = AUDIENCES.map(
    (audience, i) => `  s${i}:
    required: true
    client_credentials:
      token_endpoint: http://127.0.0.1:${issuerPort}/token
      client_id: ${FLEET_CLIENT}
      client_secret: { inline: ${FLEET_SECRET} }
      resource: ${audience}`,
  );
  const outbound = HOSTS.map(
    (host, i) => `  - { name: p${i}, match: { hosts: [${host}] }, inject: { source: s${i} } }`,
  );
  const cache =
    redisPort === undefined
      ? []
      : [
          'shared_cache:',
          `  redis: { address: "127.0.0.1:${redisPort}" }`,
          '  tenant: fleet',
          `  keys: [{ inline: ${key} }]`,
        ];
  return [
    ...['version: 1', 'mode: development', `listen: { check: "unix://${socket}" }`, 'log: { level: error }'],
    ...['sources:', ...sources, 'outbound:', ...outbound, ...cache, ''],
  ].join('\n');
}
