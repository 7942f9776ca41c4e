// The TypeScript SDK, version 1: node sdk-v1.mjs '{"command":…,"args":…,"env":…,"banks":…}'

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { play } from './play.mjs';

await play(async ({ command, args, env }) => {
  const client = new Client({ name: 'bankauth-test', version: '1' });
  await client.connect(new StdioClientTransport({ command, args, env, stderr: 'inherit' }));
  return client;
});
