// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Made by server/browser: the files that make one engine.
export const manifest = {
  "version": "0.1.0",
  "id": "ffe4f5e05b1125c030368e5bc18315fe64a65330f1c52be8df5053917a9164d3",
  "go": "go1.26.8",
  "files": {
    "engine.wasm.gz": {
      "bytes": 1894291,
      "sha256": "1a8cba0d70ecbecaf302a2354ed0a743411ca3efec6e2b146cbd0ea7f74ebfa0"
    },
    "list.bin": {
      "bytes": 1224681,
      "sha256": "280d20811aa05e0629adbfe7b39e0b8e8febcc6f3c75c8ef552bdc862f715917"
    },
    "private.wasm.gz": {
      "bytes": 1579332,
      "sha256": "487e8d7194ae31312b09a10067cbfe87013aeafe8de6ed5eab92eed6978e6fbf"
    },
    "strength.bin": {
      "bytes": 3499617,
      "sha256": "1f13f8a9c02fba1036493ad142b30339230fb8dae9a73d7329f9dceb4eef5863"
    }
  }
};
