// The part that both versions of the SDK share.

import { journey } from './journey.mjs';
import { Report } from './report.mjs';

// play connects, plays the journey and closes.
export async function play(connect) {
  const report = new Report();
  const options = JSON.parse(process.argv[2]);
  await report.attempt('connected', async () => {
    const client = await connect(options, report);
    const calls = {
      list: async () => (await client.listTools()).tools,
      call: (name, args) => client.callTool({ name, arguments: args }),
    };
    await report.attempt('journey', () => journey(report, calls, options));
    const began = Date.now();
    await client.close();
    report.check(options.url ? 'close: at once' : 'close: the server ends when its stdin does', Date.now() - began < 1900, Date.now() - began);
  });
  report.end();
}
