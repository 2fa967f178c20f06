// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// The engine behind index.js and node.js: checks that its files belong
// together, starts the WebAssembly module, and turns calls into text and back.
//
// The module is given seventeen functions, all below: a clock, random bytes,
// and the empty answers that a program without files and arguments gets. There
// is none by which a byte could leave, so no change to the module alone can
// make it send a password.

import { manifest } from "./manifest.js";

const version = "0.1.0";

// Bounds: characters of a password before any work is done with it, and of
// everything else that goes with a call.
const maxPassword = 16384;
const maxOptions = 65536;
const maxPolicy = 1 << 20;

const defaultPolicy = "nist-800-63b-4";

export class WatchwordError extends Error {
  constructor(reason, message) {
    super(`${reason}: ${message}`);
    this.name = "WatchwordError";
    this.reason = reason;
  }
}

// consistent checks what can be before anything is fetched.
export function consistent(expect) {
  if (manifest.version !== version) {
    throw new WatchwordError("ENGINE_STALE", `this loader is of version ${version}, its manifest of ${manifest.version}`);
  }
  if (expect !== undefined && expect !== manifest.id) {
    throw new WatchwordError("ENGINE_STALE", "the engine is not the one that was expected");
  }
  if (globalThis.crypto?.subtle === undefined) {
    throw new WatchwordError("ENGINE_UNVERIFIED", "files can be verified only on pages that came over HTTPS or from this machine");
  }
}

export async function open(read, { list = true, expect } = {}) {
  consistent(expect);
  const [packed, strength, common] = await Promise.all([
    verified(read, "engine.wasm.gz"),
    verified(read, "strength.bin"),
    list ? verified(read, "list.bin") : null,
  ]);
  const core = await start(packed);
  core.table(1, strength);
  if (common !== null) {
    core.table(2, common);
  }
  return new Engine(core, core.call("open"));
}

// start unpacks a module that is verified, and starts it.
export async function start(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const module = await WebAssembly.compile(await new Response(stream).arrayBuffer());
  const core = new Core();
  await core.start(module);
  return core;
}

// verified reads a file and compares it with the manifest before anything is
// done with it.
export async function verified(read, name) {
  const want = manifest.files[name];
  let bytes;
  try {
    bytes = await read(name, want.bytes);
  } catch (cause) {
    if (cause instanceof WatchwordError) {
      throw cause;
    }
    throw new WatchwordError("ENGINE_UNAVAILABLE", `${name} could not be read`);
  }
  if (bytes !== null && bytes.length === want.bytes) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    if (Array.from(digest, (b) => b.toString(16).padStart(2, "0")).join("") === want.sha256) {
      return bytes;
    }
  }
  throw new WatchwordError("ENGINE_DIGEST", `${name} is stale or was tampered with: it is not the file of version ${version}`);
}

class Exit extends Error {}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// Core is one running module.
class Core {
  #exports;
  #dead = false;
  #tidying;

  async start(module) {
    const { exports } = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi(() => exports.memory) });
    this.#exports = exports;
    this.#guard(() => exports._initialize());
  }

  // #guard runs a call into the module. One that ends in a trap leaves it in a
  // state that nobody knows, so it is the last.
  #guard(f) {
    if (this.#dead) {
      throw new WatchwordError("ENGINE_FAILED", "the engine has stopped: load another");
    }
    try {
      return f();
    } catch {
      this.#dead = true;
      throw new WatchwordError("ENGINE_FAILED", "the engine has stopped");
    }
  }

  table(kind, bytes) {
    const taken = this.#guard(() => {
      this.#room(bytes.length).set(bytes);
      return this.#exports.tables(kind, bytes.length);
    });
    if (taken !== 1) {
      throw new WatchwordError("ENGINE_DIGEST", "a table is not one that this engine reads");
    }
  }

  #room(n) {
    const at = this.#exports.input(n) >>> 0;
    return new Uint8Array(this.#exports.memory.buffer, at, n);
  }

  // call passes texts one behind the other, and gives the answer. numbers go
  // before their lengths.
  call(name, numbers = [], texts = []) {
    const answer = this.#guard(() => {
      // A character takes at most three bytes for each UTF-16 unit. The texts go
      // straight into the module's memory, which overwrites them.
      const room = this.#room(texts.reduce((sum, t) => sum + 3 * t.length, 0));
      const lengths = [];
      let at = 0;
      for (const t of texts) {
        const { written } = encoder.encodeInto(t, room.subarray(at));
        lengths.push(written);
        at += written;
      }
      const n = this.#exports[name](...numbers, ...lengths) >>> 0;
      return JSON.parse(decoder.decode(new Uint8Array(this.#exports.memory.buffer, this.#exports.output() >>> 0, n)));
    });
    // Once nobody waits, the module collects its garbage.
    this.#tidying ??= setTimeout(() => {
      this.#tidying = undefined;
      if (!this.#dead) {
        this.#guard(() => this.#exports.tidy());
      }
    }, 0);
    this.#tidying.unref?.(); // Node need not wait for it
    if (answer.error !== undefined) {
      throw new WatchwordError(answer.error.reason, answer.error.message);
    }
    return answer;
  }

  release(handle) {
    this.#guard(() => this.#exports.release(handle));
  }
}

// wasi answers what Go's runtime asks of a system.
function wasi(memory) {
  const view = () => new DataView(memory().buffer);
  const none = (...at) => {
    for (const p of at) {
      view().setUint32(p, 0, true);
    }
    return 0;
  };
  const badFile = 8;
  return {
    args_get: () => 0,
    args_sizes_get: none,
    environ_get: () => 0,
    environ_sizes_get: none,
    clock_time_get(id, _precision, at) {
      const ms = id === 0 ? Date.now() : performance.now();
      view().setBigUint64(at, BigInt(Math.round(ms * 1e6)), true);
      return 0;
    },
    random_get(at, n) {
      for (let done = 0; done < n; done += 65536) {
        crypto.getRandomValues(new Uint8Array(memory().buffer, at + done, Math.min(65536, n - done)));
      }
      return 0;
    },
    // What would be printed is dropped: a trace could hold what was typed.
    fd_write(_fd, vectors, count, written) {
      let sum = 0;
      for (let i = 0; i < count; i++) {
        sum += view().getUint32(vectors + 8 * i + 4, true);
      }
      view().setUint32(written, sum, true);
      return 0;
    },
    // Whoever sleeps wakes at once.
    poll_oneoff(subscriptions, events, count, ready) {
      const v = view();
      for (let i = 0; i < count; i++) {
        v.setBigUint64(events + 32 * i, v.getBigUint64(subscriptions + 48 * i, true), true);
        v.setBigUint64(events + 32 * i + 8, 0n, true);
      }
      v.setUint32(ready, count, true);
      return 0;
    },
    proc_exit() {
      throw new Exit();
    },
    sched_yield: () => 0,
    fd_close: () => 0,
    fd_fdstat_get: () => badFile,
    fd_fdstat_set_flags: () => badFile,
    fd_prestat_get: () => badFile,
    fd_prestat_dir_name: () => badFile,
    fd_read: () => badFile,
  };
}

const surrogate = /\p{Surrogate}/u;

// json writes what goes with a call, and refuses half characters: the module
// would read them as something else than what was meant.
function json(value, most, reason) {
  const text = JSON.stringify(value, (_key, v) => {
    if (typeof v === "string" && (v.length > most || surrogate.test(v))) {
      throw new WatchwordError(reason, "a text is too long, or is not text");
    }
    return v;
  });
  if (text === undefined || text.length > most) {
    throw new WatchwordError(reason, "the request is too large, or is none");
  }
  return text;
}

export function secret(password) {
  if (typeof password !== "string") {
    throw new TypeError("a password is a string");
  }
  if (password.length > maxPassword) {
    throw new WatchwordError("PASSWORD_TOO_LARGE", "the password is too long");
  }
  if (surrogate.test(password)) {
    throw new WatchwordError("PASSWORD_NOT_TEXT", "the password is not text");
  }
  return password;
}

// samples are of the kinds that have code of their own.
const samples = ["warm-up 预热 2", "P@ssw0rd1990!", "zhangwei19901231", "qwerty123456abcabc", "13800138000", "Ｗａｒｍ-nimraW", "4@8({[</369&#!1/aaaaaaaaaaaaaaaa"];
const context = { login: "warm.up", names: ["预热", "Warm Up"], emails: ["warm@up.example"], phones: ["13800138000"], birthDate: "1990-12-31", words: ["warm"] };

class Engine {
  #core;
  #named = new Map();
  #given = new WeakMap();

  constructor(core, names) {
    this.#core = core;
    this.version = manifest.version;
    this.id = manifest.id;
    this.policies = Object.freeze(names);
    Object.freeze(this);
    // Code is compiled when it first runs; let that be before somebody types.
    for (const sample of samples) {
      this.check(sample, { previousPassword: "warm-up 1", locale: "zh-CN", purpose: "PURPOSE_CHANGE", context });
    }
  }

  // policy takes the name of a built-in policy, or what GetPolicy answered, with
  // the answers for policies that it extends before it.
  policy(...answers) {
    const named = answers.length === 1 && typeof answers[0] === "string";
    if (named && this.#named.get(answers[0])?.released === false) {
      return this.#named.get(answers[0]);
    }
    const list = answers.map((a) => (typeof a === "string" ? { policy: a } : { policy: a?.policy, version: a?.version, yaml: a?.yaml }));
    const policy = new Policy(this.#core, this.#core.call("load", [], [json(list, maxPolicy, "POLICY_MALFORMED")]));
    if (named) {
      this.#named.set(answers[0], policy);
    }
    return policy;
  }

  #chosen(policy) {
    if (policy instanceof Policy) {
      return policy;
    }
    if (typeof policy === "string") {
      return this.policy(policy);
    }
    if (policy === null || typeof policy !== "object") {
      throw new WatchwordError("POLICY_MALFORMED", "this is no policy as the service gives it");
    }
    let known = this.#given.get(policy);
    if (known?.released !== false) {
      known = this.policy(policy);
      this.#given.set(policy, known);
    }
    return known;
  }

  check(password, { policy = defaultPolicy, ...options } = {}) {
    return this.#chosen(policy).check(password, options);
  }

  describePolicy(policy = defaultPolicy, options = {}) {
    return this.#chosen(policy).describe(options);
  }

  passwordRules(policy = defaultPolicy, options = {}) {
    return this.describePolicy(policy, options).passwordRules;
  }
}

class Policy {
  #core;
  #handle;

  constructor(core, { handle, policy, version }) {
    this.#core = core;
    this.#handle = handle;
    this.name = policy;
    this.version = version;
    Object.freeze(this);
  }

  check(password, { previousPassword = "", ...options } = {}) {
    return this.#core.call("check", [this.#handle], [secret(password), secret(previousPassword), json(options, maxOptions, "MALFORMED_REQUEST")]);
  }

  describe(options = {}) {
    return this.#core.call("describe", [this.#handle], [json(options, maxOptions, "MALFORMED_REQUEST")]);
  }

  get released() {
    return this.#handle === 0;
  }

  // release makes room for another policy; this one is not to be used again.
  release() {
    this.#core.release(this.#handle);
    this.#handle = 0;
  }
}
