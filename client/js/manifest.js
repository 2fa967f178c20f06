// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Made by server/browser: the files that make one engine.
export const manifest = {
  "version": "0.1.0",
  "id": "b197f368e1c5a6f5e63fe9770602c19a4a2167d49a45d1399e781379a230ea4b",
  "go": "go1.26.8",
  "files": {
    "engine.wasm.gz": {
      "bytes": 1894602,
      "sha256": "89596cb4b1ca6f5a0f359bc6fd04195d57c22b22aac2a0845227bafb1ffd383e"
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
