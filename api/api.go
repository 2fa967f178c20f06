// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package api is the contract of watchword: the protobuf files, what is
// generated from them, and the OpenAPI description of the REST routes.
package api

import _ "embed"

//go:generate sh -c "cd .. && go run github.com/bufbuild/buf/cmd/buf@v1.75.0 generate --template api/buf.gen.yaml"

// OpenAPI is the OpenAPI v2 description of every REST route.
//
//go:embed watchword/v1/watchword.swagger.json
var OpenAPI []byte
