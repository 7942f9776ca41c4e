// The three providers' journeys to account data, and the slips that are made on the way, for
// any client that can list and call. A client is {list(), call(name, args)};
// call returns the tool's result or throws the protocol's error.

import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { consent, redirectURI } from './consent.mjs';
import { checkListing, outputs } from './listing.mjs';

const secretNames = ['access_token', 'refresh_token', 'password', 'client_secret'];

// Must never come back: what a caller sends is not quoted.
const canary = 'canary-' + randomBytes(6).toString('hex');

// journey plays everything. banks is {provider: {base, clientID}} where a
// person can consent, and empty where nobody can; where it is not empty the
// server runs with --egress. expose is the server's setting.
export async function journey(report, client, { banks = {}, expose = 'handle' }) {
  const tools = await client.list();
  checkListing(report, tools);
  const j = new Journey(report, client, outputs(tools), expose, Object.keys(banks).length > 0);
  await j.clientCredentials();
  await j.user();
  for (const [provider, bank] of Object.entries(banks)) await j.consent(provider, bank);
  await j.forgiven();
  await j.slips();
  await j.unknownTool();
  await j.good('afterwards: the server still answers', 'create_access_token', { provider: 'flinks', grant_type: 'client_credentials' });
}

class Journey {
  constructor(report, client, wrong, expose, proxied) {
    Object.assign(this, { report, client, wrong, expose, proxied });
  }

  // good calls and returns the structured result, or undefined.
  async good(name, tool, args, want = {}) {
    return this.report.attempt(name, async () => {
      const result = await this.client.call(tool, args);
      if (!this.report.check(`${name}: works`, !result.isError, result.content)) return undefined;
      const data = result.structuredContent;
      this.report.check(`${name}: one text`, result.content?.length === 1 && result.content[0].type === 'text', result.content);
      this.report.equal(`${name}: text is the structured result`, JSON.parse(result.content[0].text), data);
      this.report.equal(`${name}: fits outputSchema`, this.wrong(tool, data), null);
      if (this.expose === 'handle') this.report.equal(`${name}: no secret`, secretNames.filter((s) => s in data), []);
      else if ('token_ref' in data) this.report.check(`${name}: the token itself`, data.access_token?.length > 0, Object.keys(data));
      for (const [member, value] of Object.entries(want)) this.report.equal(`${name}: ${member}`, data[member], value);
      return data;
    });
  }

  // bad calls and expects an error result with the code.
  async bad(name, tool, args, code) {
    await this.report.attempt(name, async () => {
      const result = await this.client.call(tool, args);
      if (!this.report.check(`${name}: is an error`, result.isError === true, result)) return;
      const text = result.content[0].text;
      const { error, ...rest } = JSON.parse(text);
      this.report.equal(`${name}: nothing but the error`, rest, {});
      this.report.check(`${name}: code is ${code}`, error.code === code, error);
      this.report.check(`${name}: message and hint`, error.message?.length > 0 && error.hint?.length > 0, error);
      this.report.check(`${name}: says whether to retry`, typeof error.retryable === 'boolean', error);
      this.report.check(`${name}: quotes no value`, !text.includes(canary), text);
      if (result.structuredContent !== undefined) {
        this.report.check(`${name}: text is the structured error`, isDeepStrictEqual(JSON.parse(text), result.structuredContent), result);
      }
    });
  }

  async clientCredentials() {
    for (const [provider, scope] of Object.entries({ fintecture: 'PIS', flinks: 'client:admin', finapi: undefined })) {
      const args = { provider, grant_type: 'client_credentials', ...(scope && { scope }) };
      const first = await this.good(`${provider} client_credentials`, 'create_access_token', args, {
        provider,
        grant_type: 'client_credentials',
        token_type: 'Bearer',
        reused: false,
      });
      if (!first) continue;
      this.report.check(`${provider} client_credentials: a handle`, /^tok_[a-z2-7]{32}$/i.test(first.token_ref), first);
      this.report.check(`${provider} client_credentials: lives`, first.expires_in > 120, first);
      await this.good(`${provider} client_credentials again`, 'create_access_token', args, { reused: true, token_ref: first.token_ref });
      await this.good(`${provider} client_credentials by force`, 'create_access_token', { ...args, force: true }, { reused: false });
      if (first.refreshable) await this.refreshes(`${provider} client_credentials`, first);
    }
  }

  async user() {
    const user = await this.good('finapi create_user', 'create_user', { provider: 'finapi' }, { provider: 'finapi', password_stored: true });
    if (!user) return;
    this.report.check('finapi create_user: an id', user.id?.length > 0, user);
    const args = { provider: 'finapi', grant_type: 'password', username: user.id };
    const token = await this.good('finapi password', 'create_access_token', args, { refreshable: true });
    await this.refreshes('finapi password', token);
    await this.uses('finapi password', token, '/api/v2/accounts');

    const id = 'u-' + randomBytes(8).toString('hex');
    const full = { id, email: 'user@example.com', phone: '+49 89 1234567', isAutoUpdateEnabled: false };
    await this.good('finapi create_user with everything', 'create_user', { provider: 'finapi', ...full }, full);
    await this.bad('finapi create_user twice', 'create_user', { provider: 'finapi', id }, 'conflict');
  }

  async consent(provider, bank) {
    const back = await this.report.attempt(`${provider} consent`, () => consent(provider, bank.base, bank.clientID));
    if (!back) return;
    const args = { provider, grant_type: 'authorization_code', code: back.get('code'), redirect_uri: redirectURI };
    if (provider === 'fintecture') args.scope = 'AIS';
    const token = await this.good(`${provider} authorization_code`, 'create_access_token', args, { refreshable: true });
    if (provider === 'flinks' && token) this.report.check('flinks authorization_code: a subject', token.subject?.length > 0, token);
    await this.refreshes(`${provider} authorization_code`, token);
    await this.uses(`${provider} authorization_code`, token, provider === 'flinks' ? '/api/v1/accounts' : `/ais/v1/customer/${back.get('customer_id')}/accounts`);
    await this.bad(`${provider} the same code again`, 'create_access_token', args, 'reauthorize');
  }

  async refreshes(name, token) {
    if (!token) return;
    const { token_ref } = token;
    await this.good(`${name}, refreshed`, 'refresh_token', { token_ref }, { token_ref, provider: token.provider });
    await this.good(`${name}, refreshed by force`, 'refresh_token', { token_ref, force: true }, { token_ref, provider: token.provider });
  }

  // uses reads accounts through the proxy beside the server.
  async uses(name, token, path) {
    if (!token || !this.proxied) return;
    await this.report.attempt(`${name}, used`, async () => {
      const answer = await fetch(token.egress_url + path, { headers: { authorization: `Bearer ${token.token_ref}` } });
      const body = await answer.text();
      this.report.check(`${name}, used: accounts`, answer.status === 200 && body.includes('1250.42'), body);
    });
  }

  async forgiven() {
    await this.good('forgiven: case and spaces', 'create_access_token', { provider: ' FinAPI ', grant_type: 'Client_Credentials' }, { provider: 'finapi' });
    await this.good('forgiven: null and empty', 'create_access_token', {
      provider: 'flinks', grant_type: 'client_credentials', code: null, redirect_uri: '', username: null,
    }, { provider: 'flinks' });
  }

  async slips() {
    const create = (name, args, code) => this.bad(`slip: ${name}`, 'create_access_token', args, code);
    await create('nothing at all', {}, 'invalid_argument');
    await create('no grant_type', { provider: 'fintecture' }, 'invalid_argument');
    await create('no provider', { grant_type: 'client_credentials' }, 'invalid_argument');
    await create('empty provider', { provider: '', grant_type: 'client_credentials' }, 'invalid_argument');
    await create('null provider', { provider: null, grant_type: 'client_credentials' }, 'invalid_argument');
    await create('provider is a number', { provider: 42, grant_type: 'client_credentials' }, 'invalid_argument');
    await create('unknown provider', { provider: canary, grant_type: 'client_credentials' }, 'invalid_argument');
    await create('unknown grant', { provider: 'flinks', grant_type: canary }, 'invalid_argument');
    await create('grant of another provider', { provider: 'finapi', grant_type: 'authorization_code' }, 'unsupported');
    await create('unknown argument', { provider: 'flinks', grant_type: 'client_credentials', colour: canary }, 'invalid_argument');
    await create('foreign argument', { provider: 'finapi', grant_type: 'client_credentials', code: canary }, 'invalid_argument');
    if (this.expose !== 'full') await create('secret argument', { provider: 'finapi', grant_type: 'client_credentials', client_secret: canary }, 'invalid_argument');
    await create('no username', { provider: 'finapi', grant_type: 'password' }, 'invalid_argument');
    await create('a user whose password is not held', { provider: 'finapi', grant_type: 'password', username: canary }, 'invalid_argument');

    const refresh = (name, args, code) => this.bad(`slip: ${name}`, 'refresh_token', args, code);
    await refresh('no token_ref', {}, 'invalid_argument');
    await refresh('null token_ref', { token_ref: null }, 'invalid_argument');
    await refresh('empty token_ref', { token_ref: '' }, 'invalid_argument');
    await refresh('unknown token_ref', { token_ref: 'tok_' + 'a'.repeat(32) }, 'invalid_argument');
    await refresh('no handle at all', { token_ref: canary }, 'invalid_argument');

    const user = (name, args, code) => this.bad(`slip: ${name}`, 'create_user', args, code);
    await user('a provider without users', { provider: 'flinks' }, 'unsupported');
    await user('id too long', { provider: 'finapi', id: canary.padEnd(37, 'x') }, 'invalid_argument');
    await user('id with a slash', { provider: 'finapi', id: canary + '/1' }, 'invalid_argument');
    await user('not a boolean', { provider: 'finapi', isAutoUpdateEnabled: canary }, 'invalid_argument');
  }

  async unknownTool() {
    const name = 'unknown tool: refused by the protocol';
    try {
      const result = await this.client.call('create_wealth', { provider: 'finapi' });
      this.report.check(name, false, result);
    } catch (error) {
      this.report.check(name, error.code === -32602 || error.code === -32601, error);
    }
  }
}
