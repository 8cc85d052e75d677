// Usage: node tests/interop/code.mjs URL [-h]
// Walks one authorization URL as the person of PERSON and PERSON_PASSWORD, and prints the code that the
// client would get; nobody opens the callback.

import { visitor, walk } from './human.mjs';

const { callback } = await walk(process.argv[2], visitor());
const code = callback.searchParams.get('code');
if (!code) throw new Error(`no code: ${callback}`);
console.log(code);
