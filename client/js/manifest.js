// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Made by server/browser: the files that make one engine.
export const manifest = {
  "version": "0.1.0",
  "id": "6d2485225810f04c38d503f1645db7363e15cca4e4dcbf9d580787ccb9a6b4f2",
  "go": "go1.26.8",
  "files": {
    "engine.wasm.gz": {
      "bytes": 1892924,
      "sha256": "465700a2ab89c08963296f22a2c1aab6565f8cc2d4559b1833dd599a4648ef21"
    },
    "list.bin": {
      "bytes": 1224681,
      "sha256": "280d20811aa05e0629adbfe7b39e0b8e8febcc6f3c75c8ef552bdc862f715917"
    },
    "strength.bin": {
      "bytes": 3499617,
      "sha256": "3026cad11adb238b326e1833efd31c48209b8e1d70d4175900fec8436db21e4d"
    }
  }
};
