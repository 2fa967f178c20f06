// The npm package hibp against our range service: plain, padded and NTLM.
// Arguments: base URL, password, the count it must give.
import { createHash } from 'node:crypto';
import { pwnedPassword, pwnedPasswordRange } from 'hibp';

const [baseUrl, password, count] = process.argv.slice(2);
const must = (what, got, want) => {
  if (got !== want) throw new Error(`${what}: ${got}, want ${want}`);
};
must('listed', await pwnedPassword(password, { baseUrl }), Number(count));
must('listed, padded', await pwnedPassword(password, { baseUrl, addPadding: true }), Number(count));
must('not listed', await pwnedPassword(`${password} but not this`, { baseUrl, addPadding: true }), 0);
const prefix = createHash('sha1').update(password).digest('hex').slice(0, 5);
const plain = await pwnedPasswordRange(prefix, { baseUrl });
const padded = await pwnedPasswordRange(prefix, { baseUrl, addPadding: true });
if (Object.keys(padded).length < Object.keys(plain).length) throw new Error('padding took lines away');
const ntlm = await pwnedPasswordRange('00000', { baseUrl, mode: 'ntlm' });
for (const suffix of Object.keys(ntlm)) must('length of an NTLM suffix', suffix.length, 27);
