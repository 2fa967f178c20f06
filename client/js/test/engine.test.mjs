// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { compare } from "./vectors.js";

const pkg = fileURLToPath(new URL("../", import.meta.url));
const lines = (await readFile(process.env.WATCHWORD_VECTORS, "utf8")).trimEnd().split("\n");
const vectors = lines.map((l) => JSON.parse(l));

// What the module is given, and its memory, seen at the one door it has.
const instances = [];
const instantiate = WebAssembly.instantiate;
WebAssembly.instantiate = async (module, imports) => {
  const instance = await instantiate(module, imports);
  if (instance.exports.check) { // Node has modules of its own
    instances.push({ module, imports, instance });
  }
  return instance;
};

const { load, WatchwordError } = await import("../node.js");
const engine = await load();

const fails = (reason) => (error) => {
  assert.ok(error instanceof WatchwordError, String(error));
  assert.equal(error.reason, reason);
  return true;
};

test("every vector gives the same bytes", () => {
  assert.ok(vectors.length >= 2000);
  assert.deepEqual(compare(engine, vectors), []);
});

test("a planted difference is found", async () => {
  const planted = vectors.slice(0, 400).map((v) => ({ ...v }));
  const at = planted.findIndex((v) => v.answer.includes('"score":3'));
  planted[at].answer = planted[at].answer.replace('"score":3', '"score":4');
  assert.deepEqual(compare(engine, planted).map((d) => d.i), [at]);
  assert.ok(compare(await load({ list: false }), vectors.slice(0, 400)).length > 20, "an engine without its list passes");
});

test("the module can reach nothing but a clock and random bytes", () => {
  const imports = WebAssembly.Module.imports(instances[0].module);
  assert.deepEqual([...new Set(imports.map((i) => i.module))], ["wasi_snapshot_preview1"]);
  assert.deepEqual([...new Set(imports.map((i) => i.name))].filter((name) => /sock|path|open/.test(name)), []);
  assert.deepEqual(Object.keys(instances[0].imports), ["wasi_snapshot_preview1"]);
});

test("the module keeps no password", () => {
  const mark = "Zebra-Quill-Marzipan-7731";
  const login = "Heron-Basalt-Umbrella";
  engine.check(mark, { previousPassword: `${mark}-before`, context: { login } });
  const memory = Buffer.from(instances[0].instance.exports.memory.buffer);
  assert.equal(memory.indexOf(mark), -1, "what was typed is still there");
  assert.notEqual(memory.indexOf(login), -1, "what is not overwritten should be there: the search finds nothing");
});

test("offsets are those of the string that was given", () => {
  for (const password of ["🦊🦊password1990", "e\u0301e\u0301password", "ｐａｓｓｗｏｒｄ🦊1990", "\u1100\u1161\u11a8password", "a\u0323\u0301b".repeat(5), "\u0301\u0301"]) {
    const { segments } = engine.check(password).strength;
    let at = 0;
    for (const s of segments) {
      assert.equal(s.from, at, `${password}: a gap before ${s.from}`);
      assert.ok(password.slice(s.from, s.to).isWellFormed());
      at = s.to;
    }
    assert.equal(at, password.length);
    assert.equal(segments.at(-1).end, [...password.normalize("NFC")].length);
  }
  const [fox, word] = engine.check("🦊🦊pässwort-password").strength.segments.filter((s) => s.kind !== "SEGMENT_KIND_BRUTEFORCE").slice(-2);
  assert.ok([fox, word].some((s) => s && "🦊🦊pässwort-password".slice(s.from, s.to).endsWith("password")));
});

test("what is no password is refused by name", () => {
  for (const [password, reason] of [
    ["", "PASSWORD_EMPTY"], ["\ud800", "PASSWORD_NOT_TEXT"], ["ok\udc00ok", "PASSWORD_NOT_TEXT"], ["🦊".slice(0, 1), "PASSWORD_NOT_TEXT"],
    ["a\u0000b", "PASSWORD_CONTROL"], ["x".repeat(4097), "PASSWORD_TOO_LARGE"], ["x".repeat(1 << 20), "PASSWORD_TOO_LARGE"], ["🦊".repeat(1 << 19), "PASSWORD_TOO_LARGE"],
  ]) {
    assert.throws(() => engine.check(password), fails(reason));
  }
  for (const password of [undefined, null, 5, {}, ["a"], new String("a")]) {
    assert.throws(() => engine.check(password), TypeError);
  }
});

test("what is no request is refused by name", () => {
  const circle = {};
  circle.context = circle;
  for (const options of [
    { use: "both" }, { purpose: "PURPOSE_" }, { locale: "fr" }, { locale: 5 }, { unknown: 1 }, { context: { password: "x" } }, { context: [] },
    { context: { birthDate: "yesterday" } }, { context: { login: "\ud800" } }, { context: { words: ["x".repeat(70000)] } }, { context: { words: Array(70000).fill("x") } },
  ]) {
    assert.throws(() => engine.check("some password here", options), fails("MALFORMED_REQUEST"), JSON.stringify(options).slice(0, 60));
  }
  assert.throws(() => engine.check("some password here", circle), TypeError);
  assert.throws(() => engine.check("some password here", { previousPassword: "\u0007" }), fails("PASSWORD_CONTROL"));
  assert.equal(engine.check("tangled lantern orbit 7 walrus").decision, "DECISION_ACCEPT", "the engine lives on");
});

test("what is no policy is refused by name", () => {
  const deep = "[".repeat(5000) + "]".repeat(5000);
  for (const [answers, reason] of [
    [["no-such-policy"], "POLICY_NOT_WHOLE"], [[{}], "POLICY_NOT_WHOLE"], [[{ policy: "../x", yaml: "version: 1" }], "POLICY_MALFORMED"],
    [[{ policy: "a", yaml: "rules: {length: {min: 300}}" }], "POLICY_MALFORMED"], [[{ policy: "a", yaml: "&a [*a]" }], "POLICY_MALFORMED"],
    [[{ policy: "a", yaml: "rules: {patterns: {list: [{id: x, forbid: '(a{100}){100}'}]}}" }], "POLICY_MALFORMED"],
    [[{ policy: "a", yaml: `rules: ${deep}` }], "POLICY_MALFORMED"], [[{ policy: "a", yaml: "x".repeat(1 << 20) }], "POLICY_MALFORMED"],
    [[{ policy: "a", yaml: "\ud800" }], "POLICY_MALFORMED"], [[{ policy: 5, yaml: {} }], "POLICY_MALFORMED"], [[], "POLICY_MALFORMED"], [[null], "POLICY_NOT_WHOLE"],
    [[{ policy: "a", yaml: "extends: b\nrules: {}" }], "POLICY_MALFORMED"], [Array(20).fill("cis"), "POLICY_MALFORMED"],
    [[{ policy: "__proto__", yaml: "rules: {}" }], "POLICY_MALFORMED"],
    [[{ policy: "cis", version: "1.000000000000" }], "POLICY_STALE"],
    [[{ policy: "a", version: "1.000000000000", yaml: "version: 1\nrules: {length: {min: 9}}" }], "POLICY_STALE"],
  ]) {
    assert.throws(() => engine.policy(...answers), fails(reason), JSON.stringify(answers).slice(0, 80));
  }
  assert.throws(() => engine.check("x", { policy: null }), fails("POLICY_MALFORMED"));
  const many = [];
  assert.throws(() => { for (;;) many.push(engine.policy({ policy: "cis" })); }, fails("POLICIES_EXHAUSTED"));
  many.forEach((p) => p.release());
  const p = engine.policy({ policy: "cis" });
  p.release();
  assert.throws(() => p.check("x"), fails("POLICY_UNKNOWN"));
  engine.policy("cis").release();
  assert.equal(engine.check("x", { policy: "cis" }).policy, "cis", "a name is loaded again");
});

test("a policy as the service gives it", () => {
  const answer = { policy: "own", version: "2.5ac2b5d6ab00", yaml: "version: 2\nrules: {length: {min: 12}}\n", versions: ["x"], rollout: {} };
  assert.throws(() => engine.check("abc", { policy: answer }), fails("POLICY_STALE"));
  delete answer.version;
  assert.equal(engine.check("abc", { policy: answer }).violations[0].params.min, "12");
  for (let i = 0; i < 200; i++) {
    engine.check("abc", { policy: answer }); // is loaded once
  }
  assert.match(engine.passwordRules("pci-4.0.1"), /^minlength: 12; /);
  const d = engine.describePolicy("mlps-l3", { locale: "zh-CN", use: "USE_MULTI_FACTOR" });
  assert.match(d.text[0], /\p{Script=Han}/u);
  assert.equal(d.version, engine.policy("mlps-l3").version);
});

test("two engines do not meet", async () => {
  const other = await load();
  const own = other.policy({ policy: "own", yaml: "version: 1\nrules: {length: {min: 3}}\n" });
  assert.equal(own.check("abc").decision, "DECISION_ACCEPT");
  assert.equal(engine.check("abc").decision, "DECISION_REJECT");
  assert.deepEqual(compare(other, vectors.slice(0, 200)), []);
  assert.deepEqual(compare(engine, vectors.slice(0, 200)), []);
});

test("memory does not grow", async () => {
  const rounds = process.env.WATCHWORD_LONG ? 100_000 : 1_000;
  const memory = instances[0].instance.exports.memory;
  const one = () => {
    for (let i = 0; i < rounds; i++) {
      const v = vectors[(i * 7) % 400];
      try {
        engine.check(v.password, { ...v.options, previousPassword: v.previous, policy: "mlps-l3" });
      } catch (error) {
        assert.ok(error instanceof WatchwordError);
      }
    }
  };
  one();
  const first = memory.buffer.byteLength;
  one();
  console.log(`memory of the module: ${first >> 20} MiB after ${rounds} calls, ${memory.buffer.byteLength >> 20} MiB after ${2 * rounds}`);
  assert.ok(memory.buffer.byteLength <= first + (4 << 20), `${first} grew to ${memory.buffer.byteLength}`);
  assert.ok(memory.buffer.byteLength < 64 << 20);
});

let copy;
before(async () => {
  copy = await mkdtemp(join(tmpdir(), "watchword-"));
  await cp(pkg, copy, { recursive: true, filter: (f) => !f.includes("node_modules") && !f.includes("example") });
});
after(() => rm(copy, { recursive: true }));

test("files that do not belong together are refused", async () => {
  const stamp = () => `${pathToFileURL(join(copy, "node.js"))}?${Math.random()}`;
  const started = instances.length;
  for (const name of ["engine.wasm.gz", "strength.bin", "list.bin"]) {
    const whole = await readFile(join(copy, name));
    const bent = Buffer.from(whole);
    bent[bent.length >> 1] ^= 1;
    for (const bytes of [bent, whole.subarray(0, -1), Buffer.concat([whole, Buffer.from([0])]), Buffer.alloc(0)]) {
      await writeFile(join(copy, name), bytes);
      const copied = await import(stamp());
      await assert.rejects(copied.load(), (e) => e.reason === "ENGINE_DIGEST" && e.message.includes(name));
    }
    await rm(join(copy, name));
    await assert.rejects((await import(stamp())).load(), (e) => e.reason === "ENGINE_UNAVAILABLE" && e.message.includes(name));
    await writeFile(join(copy, name), whole);
  }
  assert.equal(instances.length, started, "a module was started");
  await assert.rejects(load({ expect: "0".repeat(64) }), fails("ENGINE_STALE"));
  assert.equal((await load({ expect: engine.id })).id, engine.id);

  const manifest = await readFile(join(copy, "manifest.js"), "utf8");
  await writeFile(join(copy, "manifest.js"), manifest.replace(/"version": "[^"]+"/, '"version": "0.0.9"'));
  // A module is read once by its name, so the changed one needs another process.
  const said = execFileSync(process.execPath, ["--input-type=module", "-e",
    `const { load } = await import(${JSON.stringify(stamp())}); await load().catch((e) => console.log(e.reason));`], { encoding: "utf8" });
  assert.equal(said.trim(), "ENGINE_STALE");
});

test("a module that ends is not asked again", async () => {
  const broken = await load();
  const { exports } = instances.at(-1).instance;
  exports.memory.grow(1); // detaches every view that was kept
  assert.equal(broken.check("abc").decision, "DECISION_REJECT");
  // Lengths beyond what was written, as only a broken loader would give.
  exports.input(8);
  const n = exports.check(1, 0xffffffff, 1, 1) >>> 0;
  assert.match(new TextDecoder().decode(new Uint8Array(exports.memory.buffer, exports.output() >>> 0, n)), /"INTERNAL"/);
  assert.equal(broken.check("abc").decision, "DECISION_REJECT");
});

test("the package is whole, and its types hold", () => {
  const packed = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json"], { cwd: pkg, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }))[0];
  const names = packed.files.map((f) => f.path).sort();
  for (const want of ["LICENSE", "NOTICE", "THIRD-PARTY", "README.md", "engine.wasm.gz", "private.js", "private.wasm.gz", "strength.bin", "list.bin", "index.js", "index.d.ts", "node.js", "example/form.html"]) {
    assert.ok(names.includes(want), `${want} is not in the package`);
  }
  assert.deepEqual(names.filter((n) => n.startsWith("test") || n.endsWith(".go")), []);
  console.log(`package: ${packed.size} bytes packed, ${packed.unpackedSize} unpacked`);
  execFileSync(process.execPath, [join(pkg, "test/node_modules/typescript/bin/tsc"), "-p", join(pkg, "test")], { stdio: "pipe" });
});
