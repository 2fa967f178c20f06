// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Made by server/browser: the files that make one engine.
export const manifest = {
  "version": "0.1.0",
  "id": "72ede2d7bfe9c117bac321053b9c7b6cfa8642e5c17667d7a4064adc0bd685c6",
  "go": "go1.26.8",
  "files": {
    "engine.wasm.gz": {
      "bytes": 1898314,
      "sha256": "0af5af57db8e9ff3779022b73d05db34f3d223e739c0432a730de5d332a04429"
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
