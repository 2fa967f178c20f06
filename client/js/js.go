// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package js holds the npm package of this folder, for a server that offers it
// to pages. The two tables of the package are those of the server itself, and
// not here a second time.
package js

import "embed"

//go:generate go run ../../server/browser -out .

// Files are what a page may fetch.
//
//go:embed index.js engine.js manifest.js index.d.ts engine.wasm.gz private.js private.wasm.gz LICENSE NOTICE THIRD-PARTY example
var Files embed.FS
