// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { loadPrivate, WatchwordError } from "../node.js";

const version = process.env.WATCHWORD_PRIVATE_LIST;
const sent = [];

// post is what a page's own back end would do.
async function post(path, body) {
  sent.push([path, body]);
  const answer = await fetch(process.env.WATCHWORD_URL + path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${process.env.WATCHWORD_KEY}` },
    body,
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

const list = await loadPrivate({ version, post });

const fails = (text) => (error) => {
  assert.ok(error instanceof WatchwordError, String(error));
  assert.equal(error.reason, "PRIVATE_ANSWER");
  assert.match(error.message, text);
  return true;
};

// changed is a list whose answers pass through f.
const changed = (f) => loadPrivate({ version, post: async (path, body) => f(path.split(":")[1], await post(path, body), body) });

test("what is listed and what is near is found, as by every other client", async () => {
  for (const [password, found, similar] of [
    ["sunflower", true, false],
    ["Sunflower", false, true],
    ["sunfl0wer", false, true],
    ["夏天2025", false, true],
    ["tangled lantern orbit", false, false],
  ]) {
    assert.deepEqual(await list.check(password), { found, similar }, password);
  }
});

test("nothing that is sent tells passwords apart, and buckets are asked for once", async () => {
  const before = sent.length;
  await list.check("sunflower");
  await list.check("s".repeat(3000));
  const lengths = new Map();
  for (const [path, body] of sent) {
    assert.ok(!body.includes("sunflower"));
    lengths.set(path, (lengths.get(path) ?? new Set()).add(body.length));
  }
  assert.deepEqual([...lengths.values()].map((s) => s.size), [1, 1, 1], "a request is of another length");
  assert.deepEqual(sent.slice(before, before + 1).map(([path]) => path), ["/v1/breaches:privateCheck"], "a bucket is asked for again");
  const elements = sent.filter(([path]) => path.endsWith("privateCheck")).flatMap(([, body]) => JSON.parse(body).elements);
  assert.equal(new Set(elements).size, elements.length, "an element was sent twice");
});

test("an answer that is not the list's is refused by name", async () => {
  let replayed;
  for (const [name, f, text] of [
    ["another header", (route, a) => (route === "privateList" ? { header: a.header.replace(/^.{20}/, "A".repeat(20)) } : a), /not the version/],
    ["no header", (route, a) => (route === "privateList" ? {} : a), /not the version/],
    ["another bucket", (route, a) => (route === "privateBucket" ? { ...a, records: a.records.replace(/^.{20}/, "A".repeat(20)) } : a), /not the bucket/],
    ["a bucket cut short", (route, a) => (route === "privateBucket" ? { ...a, records: "" } : a), /not the bucket/],
    ["no proof", (route, a) => (route === "privateCheck" ? { ...a, proof: "" } : a), /the proof/],
    ["swapped", (route, a) => (route === "privateCheck" ? { ...a, elements: a.elements.toReversed() } : a), /the proof/],
    ["an identity", (route, a) => (route === "privateCheck" ? { ...a, elements: [...a.elements.slice(1), Buffer.alloc(32).toString("base64")] } : a), /not a point/],
    ["cut short", (route, a) => (route === "privateCheck" ? { ...a, elements: a.elements.slice(1) } : a), /32 elements/],
    ["10,000 elements", (route, a) => (route === "privateCheck" ? { ...a, elements: Array(10000).fill(a.elements[0]) } : a), /32 elements/],
    ["more than an answer", (route, a) => (route === "privateBucket" ? { ...a, records: "A".repeat(20 << 20) } : a), /too large/],
    ["more than a header", (route, a) => (route === "privateList" ? { header: "A".repeat(20 << 20) } : a), /too large/],
    ["not base64", (route, a) => (route === "privateCheck" ? { ...a, elements: ["<script>"] } : a), /not an answer/],
    ["no answer", (route, a) => (route === "privateCheck" ? null : a), /no answer/],
  ]) {
    await assert.rejects(async () => (await changed(f)).check("sunflower"), fails(text), name);
  }
  const replaying = await changed((route, a) => (route === "privateCheck" ? (replayed ??= a) : a));
  assert.deepEqual(await replaying.check("sunflower"), { found: true, similar: false });
  await assert.rejects(replaying.check("sunflower"), fails(/the proof/));
});

test("what cannot be asked is refused", async () => {
  for (const password of ["", "x".repeat(4097), "\ud800"]) {
    await assert.rejects(list.check(password), WatchwordError);
  }
  await assert.rejects(loadPrivate({ post }), WatchwordError);
  await assert.rejects(loadPrivate({ version: "latest", post: async () => ({}) }), WatchwordError);
});

test("a module that is not the package's does not start", async () => {
  const dir = await mkdtemp(join(tmpdir(), "private-"));
  try {
    for (const name of ["engine.js", "manifest.js", "private.js", "node.js", "package.json", "private.wasm.gz"]) {
      await cp(fileURLToPath(new URL(`../${name}`, import.meta.url)), join(dir, name));
    }
    const altered = await readFile(join(dir, "private.wasm.gz"));
    altered[1000] ^= 1;
    await writeFile(join(dir, "private.wasm.gz"), altered);
    const other = await import(pathToFileURL(join(dir, "node.js")));
    await assert.rejects(other.loadPrivate({ version, post }), { reason: "ENGINE_DIGEST" });
  } finally {
    await rm(dir, { recursive: true });
  }
});

test("figures", async (t) => {
  const times = [];
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    await list.check("sunflower");
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  t.diagnostic(`a check with its bucket at hand: median ${times[10].toFixed(0)} ms`);
});
