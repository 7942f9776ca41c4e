// An MCP client with its SDK's own OAuth client, and the person in front of
// it: node oauth.mjs '{"sdk":"v1"|"v2","url":…,"token":…,"issuer":…}'. Without a
// token it comes with nothing but the URL. With one of the issuer's that has
// not every scope, it has to step up.

import { press, redirectURI } from './consent.mjs';
import { Report } from './report.mjs';

const options = JSON.parse(process.argv[2]);
const sdk = options.sdk === 'v1' ? {
  ...(await import('@modelcontextprotocol/sdk/client/index.js')),
  ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
  ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
} : await import('@modelcontextprotocol/client');

// store keeps for the SDK what it wants kept.
class Store {
  redirectUrl = redirectURI;
  clientMetadata = {
    client_name: 'bankauth-test', redirect_uris: [redirectURI], token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], application_type: 'native',
  };
  constructor({ token, issuer }) { this.held = token && { access_token: token, token_type: 'Bearer', issuer }; }
  clientInformation() { return this.client; }
  saveClientInformation(c) { this.client = c; }
  tokens() { return this.held; }
  saveTokens(t) { this.held = t; }
  saveCodeVerifier(v) { this.verifier = v; }
  codeVerifier() { return this.verifier; }
  saveDiscoveryState(d) { this.discovered = d; }
  discoveryState() { return this.discovered; }
  redirectToAuthorization(url) { this.asked = url; }
}

// consent plays the person: signs in, consents, and returns what the redirect
// brings to the client.
async function consent(url) {
  const jar = new Map();
  const send = async (to, init = {}) => {
    const cookie = [...jar].map(([k, v]) => `${k}=${v}`).join('; ');
    const answer = await fetch(to, { ...init, redirect: 'manual', headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';')[0].split(/=(.*)/s);
      jar.set(name, value);
    }
    return answer;
  };
  let at = url, answer = await send(at);
  for (let step = 0; step < 20; step++) {
    const location = answer.headers.get('location');
    if (location) {
      at = new URL(location, at);
      if (at.href.startsWith(redirectURI)) return at.searchParams;
      answer = await send(at);
      continue;
    }
    if (answer.status !== 200) throw new Error(`consent answered ${answer.status}: ${await answer.text()}`);
    answer = await press(at, await answer.text(), { login: 'erika', password: 'x' }, send);
  }
  throw new Error('consent did not come to an end');
}

const report = new Report();
const store = new Store(options);
const connect = async () => {
  const transport = new sdk.StreamableHTTPClientTransport(new URL(options.url), { authProvider: store });
  const client = new sdk.Client({ name: 'bankauth-test', version: '1' });
  return { client, transport, connected: client.connect(transport) };
};

// through does something, with consent where the SDK asks for it.
async function through(name, transport, run) {
  try {
    await run();
    return report.check(`${name}: consent is needed`, false);
  } catch (error) {
    if (!report.check(`${name}: the SDK asks for consent`, error instanceof sdk.UnauthorizedError && store.asked, error)) return false;
  }
  const back = await consent(store.asked);
  await (options.sdk === 'v1' ? transport.finishAuth(back.get('code')) : transport.finishAuth(back));
  return true;
}

await report.attempt('oauth', async () => {
  let session = await connect();
  if (!options.token) {
    if (!(await through('connect', session.transport, () => session.connected))) return;
    report.check('connect: all scopes are asked for', store.asked.searchParams.get('scope').includes('users:create'), store.asked);
    report.equal('connect: the resource is asked for', store.asked.searchParams.get('resource'), options.url);
    session = await connect();
  }
  await session.connected;
  const { tools } = await session.client.listTools();
  report.check('the tools are listed', tools.length === 3, tools);
  const first = await session.client.callTool({ name: 'create_access_token', arguments: {} });
  report.check('a tool can be called', first.content?.[0]?.text?.includes(options.token ? ' client machine' : ' user erika'), first);
  const call = () => session.client.callTool({ name: 'create_user', arguments: {} });
  if (options.token) {
    if (!(await through('step up', session.transport, call))) return;
    const asked = store.asked.searchParams.get('scope').split(' ');
    report.check('step up: what is lacking and what was there are asked for', asked.includes('users:create') && asked.includes('tokens:create'), asked);
  }
  const second = await call();
  report.check('the other tool can be called', second.content?.[0]?.text?.includes(' user erika'), second);
  await session.client.close();
});
report.end();
process.stdout.write('', () => process.exit()); // also where a stream is still open
