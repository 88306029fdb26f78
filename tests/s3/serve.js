// s3rver knows one pair of keys, both six letters; ours are longer, as read_secret wants them.
const { DUMMY_ACCOUNT } = require("s3rver/lib/models/account");
const S3rver = require("s3rver");

const [port, directory] = process.argv.slice(2);
DUMMY_ACCOUNT.createKeyPair("gatehouse-access", "gatehouse-hidden-word");
new S3rver({
  port: Number(port),
  address: "127.0.0.1",
  silent: true,
  directory,
  configureBuckets: [{ name: "gatehouse" }],
}).run();
