// Prints the code that consent brings: node code.mjs PROVIDER BASE_URL CLIENT_ID

import { authorize } from './consent.mjs';

const [provider, base, clientID] = process.argv.slice(2);
console.log(await authorize(provider, base, clientID));
