// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Made by server/browser: the files that make one engine.
export const manifest = {
  "version": "0.1.0",
  "id": "dc9047606a40c442620a5bc818226ea91526554448c16d59e1b201aa8da9eb66",
  "go": "go1.26.8",
  "files": {
    "engine.wasm.gz": {
      "bytes": 1893441,
      "sha256": "fe91976de50ab25d742c8905d6db7267518b13ce928d965472d021d1d7fd926d"
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
