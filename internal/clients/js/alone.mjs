// Two clients of one server, which both count their requests from the same
// number: what one gives up must not end what the other has asked.

//
// options says where an SDK's callTool has its options.
export async function alone(report, connect, options) {
  await report.attempt('alone', async () => {
    const [one, other] = [await connect(), await connect()];
    const args = { provider: 'flinks', grant_type: 'client_credentials', force: true };
    const call = (client, o) => client.callTool({ name: 'create_access_token', arguments: args }, ...options(o));
    const stop = new AbortController();
    const given = call(one, { signal: stop.signal }).then(() => 'answered', () => 'given up');
    const kept = call(other, {});
    stop.abort();
    report.check('alone: the one that was given up ends', (await given) === 'given up', await given);
    const result = await kept;
    report.check('alone: the other is answered', !result.isError, result.content);
    const again = await call(one, {});
    report.check('alone: the first client goes on', !again.isError, again.content);
    await one.close();
    await other.close();
  });
}
