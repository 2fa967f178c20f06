// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"fmt"
	"runtime/debug"
	"slices"
	"testing"
)

// least are the releases that mended what a service like this one was attacked
// through: gRPC's authorization bypass by a path without its slash
// (CVE-2026-33186), protojson's endless loop (CVE-2024-24786), and go-redis's
// mixed-up answers after a broken connection set-up (CVE-2025-29923).
var least = map[string]string{
	"google.golang.org/grpc":        "v1.79.3",
	"google.golang.org/protobuf":    "v1.33.0",
	"github.com/redis/go-redis/v9":  "v9.7.3",
	"github.com/jackc/pgx/v5":       "v5.5.4",  // CVE-2024-27304
	"golang.org/x/net":              "v0.38.0", // CVE-2025-22872
	"github.com/go-jose/go-jose/v4": "v4.0.5",  // CVE-2025-27144
	"golang.org/x/crypto":           "v0.35.0", // CVE-2025-22869
}

func TestNoKnownFaultsAreLinked(t *testing.T) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("the binary does not say what it is made of")
	}
	seen := 0
	for _, d := range info.Deps {
		if want, ok := least[d.Path]; ok {
			seen++
			if slices.Compare(numbers(t, d.Version), numbers(t, want)) < 0 {
				t.Errorf("%s is %s, older than %s", d.Path, d.Version, want)
			}
		}
	}
	if seen != len(least) {
		t.Errorf("%d of %d modules are linked: the list is out of step", seen, len(least))
	}
}

func numbers(t *testing.T, version string) []int {
	t.Helper()
	v := make([]int, 3)
	if n, err := fmt.Sscanf(version, "v%d.%d.%d", &v[0], &v[1], &v[2]); n != 3 {
		t.Fatalf("version %q: %v", version, err)
	}
	return v
}
