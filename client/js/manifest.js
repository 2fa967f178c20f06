// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Made by server/browser: the files that make one engine.
export const manifest = {
  "version": "0.1.0",
  "id": "732a26835745e84eddec37aad2e47d8098ee5b8ec485e42b0409fdce03721c9e",
  "go": "go1.26.8",
  "files": {
    "engine.wasm.gz": {
      "bytes": 1894105,
      "sha256": "09d5ecb42bd441f044ce7a98966324e2b186e68ec40810801ae6516343fc9a8b"
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
