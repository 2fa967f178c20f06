// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// The engine in Node: the same as index.js, with its files read from the disk.

import { readFile, stat } from "node:fs/promises";

import { open, WatchwordError } from "./engine.js";

export { WatchwordError };

export function load(options = {}) {
  const base = new URL(options.base ?? "./", import.meta.url);
  return open(async (name, most) => {
    const file = new URL(name, base);
    return (await stat(file)).size > most ? null : await readFile(file);
  }, options);
}
