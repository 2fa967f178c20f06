// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Made by server/browser: the files that make one engine.
export const manifest = {
  "version": "0.1.0",
  "id": "70797955661984f8f2d530cb8aee576d7d311372c94ec8067023fb032671a74e",
  "go": "go1.26.8",
  "files": {
    "engine.wasm.gz": {
      "bytes": 1894720,
      "sha256": "5b39faef50481e21918937ea201b892fc733e8f49c28bede22982f896de049cf"
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
