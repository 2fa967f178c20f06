// @zxcvbn-ts/matcher-pwned against our range service. It always asks for
// padding. Arguments: URL of the ranges, a listed password.
const { haveIBeenPwned } = require('@zxcvbn-ts/matcher-pwned');

const [url, password] = process.argv.slice(2);
const fail = (error) => {
  console.error(error);
  process.exit(1);
};
const options = { universalFetch: fetch, url, networkErrorHandler: fail };
(async () => {
  if (!(await haveIBeenPwned(password, options))) throw new Error('a listed password was not found');
  if (await haveIBeenPwned(`${password} but not this`, options)) throw new Error('a password that is not listed was found');
})().catch(fail);
