// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// The engine in a page. Its files are fetched from beside this module and
// nothing else ever is: see engine.js for what the engine can reach.

import { open, WatchwordError } from "./engine.js";
import { open as openPrivate } from "./private.js";

export { WatchwordError };

// Written out, so that bundlers see them.
const files = {
  "engine.wasm.gz": new URL("./engine.wasm.gz", import.meta.url),
  "strength.bin": new URL("./strength.bin", import.meta.url),
  "list.bin": new URL("./list.bin", import.meta.url),
  "private.wasm.gz": new URL("./private.wasm.gz", import.meta.url),
};

const reader = (options) => async (name, most) => {
  const url = options.base === undefined ? files[name] : new URL(name, new URL(options.base, globalThis.document?.baseURI ?? location.href));
  const answer = await fetch(url, { referrerPolicy: "no-referrer" });
  if (!answer.ok) {
    throw new WatchwordError("ENGINE_UNAVAILABLE", `${name}: status ${answer.status}`);
  }
  // No more is read than there should be.
  const body = answer.body.getReader();
  const whole = new Uint8Array(most);
  let at = 0;
  for (;;) {
    const { done, value } = await body.read();
    if (done) {
      return whole.subarray(0, at);
    }
    if (at + value.length > most) {
      await body.cancel();
      return null;
    }
    whole.set(value, at);
    at += value.length;
  }
};

export function load(options = {}) {
  return open(reader(options), options);
}

export function loadPrivate(options) {
  return openPrivate(reader(options), options);
}
