// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// The engine in Node: the same as index.js, with its files read from the disk.

import { readFile, stat } from "node:fs/promises";

import { open, WatchwordError } from "./engine.js";
import { open as openPrivate } from "./private.js";

export { WatchwordError };

const reader = (options) => {
  const base = new URL(options.base ?? "./", import.meta.url);
  return async (name, most) => {
    const file = new URL(name, base);
    return (await stat(file)).size > most ? null : await readFile(file);
  };
};

export function load(options = {}) {
  return open(reader(options), options);
}

export function loadPrivate(options) {
  return openPrivate(reader(options), options);
}
