// A real OpenID provider as a process of its own: node issuer.mjs. It says its
// address and a confidential client as one line of JSON, and ends with stdin.
// A line on stdin makes it rotate: new keys, the old ones withdrawn.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

console.warn = console.info = () => {}; // it says at length that it is not for production

const scopes = 'tokens:create tokens:refresh users:create tokens:use';
const machine = { client_id: 'machine', client_secret: 'machine-secret', redirect_uris: [], response_types: [], grant_types: ['client_credentials'], scope: scopes };

const server = createServer((request, response) => answer(request, response));
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
let generation = 0;
let answer = provider();
process.stdout.write(JSON.stringify({ issuer, client_id: machine.client_id, client_secret: machine.client_secret }) + '\n');

for await (const _ of createInterface({ input: process.stdin })) {
  answer = provider();
  process.stdout.write(JSON.stringify({ rotated: generation }) + '\n');
}
process.exit();

function provider() {
  generation++;
  const key = (alg, type, options) => ({
    ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: `${alg}-${generation}`,
  });
  const keys = [key('RS256', 'rsa', { modulusLength: 2048 }), key('ES256', 'ec', { namedCurve: 'P-256' })];
  return new Provider(issuer, {
    jwks: { keys },
    clients: [machine],
    scopes: ['openid', 'offline_access', ...scopes.split(' ')],
    cookies: { keys: ['of this test'] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: {
      clientCredentials: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({ scope: scopes, audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
      },
    },
  }).callback();
}
