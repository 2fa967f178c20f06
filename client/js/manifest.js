// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Made by server/browser: the files that make one engine.
export const manifest = {
  "version": "0.1.0",
  "id": "e00fa0e52be6aabcfca8444cb98fc860be7eba6651fea887940c1fab466083e6",
  "go": "go1.26.8",
  "files": {
    "engine.wasm.gz": {
      "bytes": 1893436,
      "sha256": "c62a9312c9e95f5c01b39166bddf1a0193b6e05be31ef968ce1cd72655622484"
    },
    "list.bin": {
      "bytes": 1224681,
      "sha256": "280d20811aa05e0629adbfe7b39e0b8e8febcc6f3c75c8ef552bdc862f715917"
    },
    "strength.bin": {
      "bytes": 3499617,
      "sha256": "1f13f8a9c02fba1036493ad142b30339230fb8dae9a73d7329f9dceb4eef5863"
    }
  }
};
