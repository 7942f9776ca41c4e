// Fintecture's own SDK reads accounts through the proxy, with a token_ref where
// it expects an access token, and nothing else changed but its base URL.

import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { createRequire } from 'node:module';

import { consent } from './consent.mjs';
import { Report } from './report.mjs';

const o = JSON.parse(process.argv[2]);
const report = new Report();
const bank = o.banks.fintecture;

await report.attempt('accounts', async () => {
  const granted = await consent('fintecture', bank.base, bank.clientID);
  const made = JSON.parse(
    execFileSync(o.command, ['call', 'create_access_token', 'provider=fintecture', 'grant_type=authorization_code', `code=${granted.get('code')}`], { env: o.env }),
  );
  report.check('token_ref', /^tok_/.test(made.token_ref), made);

  process.env.FINTECTUREAPIURL_DEV = `${o.egress}/fintecture`;
  const { FintectureClient } = createRequire(import.meta.url)('fintecture-client');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const client = new FintectureClient({
    app_id: bank.clientID,
    app_secret: 'not needed here',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    env: 'sandbox',
  });
  const accounts = await client.getAccounts(made.token_ref, granted.get('customer_id'));
  report.equal('account', accounts.data?.[0]?.attributes?.account_name, 'Current account');

  const refused = await client.getAccounts('tok_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', granted.get('customer_id')).catch((error) => error);
  report.equal('a token_ref that nobody has', refused.response?.data?.code, 'invalid_argument');
});
report.end();
