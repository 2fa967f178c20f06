// The npm package @grpc/grpc-js with the descriptors of the contract.
// Arguments: address, key, file of descriptors.
const fs = require('node:fs');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [addr, key, file] = process.argv.slice(2);
const { watchword } = grpc.loadPackageDefinition(loader.loadFileDescriptorSetFromBuffer(fs.readFileSync(file), { enums: String, longs: Number }));
const plain = grpc.credentials.createInsecure();
const passwords = new watchword.v1.PasswordService(addr, plain);
const credentials = new watchword.v1.CredentialService(addr, plain);
const meta = new grpc.Metadata();
meta.set('authorization', `Bearer ${key}`);

const must = (what, ok, got) => {
  if (!ok) throw new Error(`${what}: ${JSON.stringify(got)}`);
};
const call = (service, method, request, with_ = meta) =>
  new Promise((resolve) => service[method](request, with_, (error, answer) => resolve({ error, answer })));

(async () => {
  const closed = await call(passwords, 'CheckPassword', { password: 'password' }, new grpc.Metadata());
  must('without a key', closed.error?.code === grpc.status.UNAUTHENTICATED, closed);
  const weak = await call(passwords, 'CheckPassword', { password: 'password', locale: 'zh-CN' });
  must('a weak password', weak.answer?.decision === 'DECISION_REJECT' && /[\u4e00-\u9fff]/.test(JSON.stringify(weak.answer)), weak);
  const good = await call(passwords, 'CheckPassword', { password: 'tangled lantern orbit 7 walrus' });
  must('a good password', good.answer?.decision === 'DECISION_ACCEPT', good);
  let last;
  for (let i = 0; i < 6; i++) last = await call(credentials, 'VerifyPassword', { subject: 'node', password: `guess ${i}` });
  must('the sixth guess', last.error?.code === grpc.status.RESOURCE_EXHAUSTED && last.error.metadata.get('grpc-status-details-bin').length === 1, last);

  const rows = await new Promise((resolve, reject) => {
    const stream = passwords.BatchCheckPasswords(meta);
    const got = [];
    stream.on('data', (row) => got.push(row));
    stream.on('error', reject);
    stream.on('end', () => resolve(got));
    for (let i = 0; i < 500; i++) stream.write({ password: i % 2 ? 'password' : `walrus orbit lantern ${i * 7919}` });
    stream.end();
  });
  must('rows of a stream', rows.length === 500 && rows.every((r, i) => r.decision === (i % 2 ? 'DECISION_REJECT' : 'DECISION_ACCEPT')), rows.slice(0, 3));
  process.exit(0);
})().catch((e) => { console.error(e.message); process.exit(1); });
