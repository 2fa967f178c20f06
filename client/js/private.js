// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Private checks: whether a password, or a near variant, is on a list, without
// showing it to the service. The module blinds, verifies and looks up; what goes
// out goes through the page's own function, and holds no password.

import { consistent, secret, start, verified, WatchwordError } from "./engine.js";

// A request for a bucket has one length whatever the bucket's number is.
const bucketLength = 128;

// Characters of an answer before any work is done with it; the largest bucket
// has 1.4 million.
const maxAnswer = 4 << 20;

// Buckets that are kept.
const mostBuckets = 64;

export async function open(read, { version, post }) {
  consistent();
  if (typeof version !== "string" || typeof post !== "function") {
    throw new WatchwordError("MALFORMED_REQUEST", "a private list needs its version and a function that asks the service");
  }
  const core = await start(await verified(read, "private.wasm.gz"));
  const header = await asked(post, "privateList", JSON.stringify({ version }));
  const { list } = core.call("list", [], [version.slice(0, 65), bounded(header)]);
  return new PrivateList(core, list, version, post);
}

async function asked(post, route, body) {
  const answer = await post(`/v1/breaches:${route}`, body);
  if (answer === null || typeof answer !== "object") {
    throw new WatchwordError("PRIVATE_ANSWER", "the service gave no answer");
  }
  return answer;
}

function bounded(answer) {
  const text = JSON.stringify(answer);
  if (text.length > maxAnswer) {
    throw new WatchwordError("PRIVATE_ANSWER", "the answer is too large");
  }
  return text;
}

class PrivateList {
  #core;
  #list;
  #post;
  #buckets = new Map();

  constructor(core, list, version, post) {
    this.#core = core;
    this.#list = list;
    this.#post = post;
    this.version = version;
    Object.freeze(this);
  }

  async check(password) {
    const version = this.version;
    const { question, bucket, elements } = this.#core.call("ask", [this.#list], [secret(password)]);
    const [records, evaluated] = await Promise.all([
      this.#buckets.get(bucket) ?? asked(this.#post, "privateBucket", JSON.stringify({ version, bucket }).padEnd(bucketLength)),
      asked(this.#post, "privateCheck", JSON.stringify({ version, elements })),
    ]);
    const answer = bounded({ records: records.records, path: records.path, elements: evaluated.elements, proof: evaluated.proof });
    const result = this.#core.call("finish", [this.#list, question], [answer]);
    if (this.#buckets.size === mostBuckets) {
      this.#buckets.clear();
    }
    this.#buckets.set(bucket, records);
    return result;
  }
}
