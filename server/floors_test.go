// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/watchword-project/watchword"

// floors is the plan of the house: what each package may import of ours. A
// package that is not listed has no place yet. Imports point down; a package
// that would need more than six others is doing somebody else's work, except
// for the daemon, where all rooms meet.
var floors = map[string][]string{
	// Forms and facts.
	"api":                               nil,
	"api/watchword/v1":                  nil,
	"wordlists":                         {"wordlists/internal/whole"},
	"wordlists/internal/fence":          nil,
	"wordlists/internal/whole":          nil,
	"wordlists/private":                 {"wordlists", "wordlists/internal/whole"},
	"wordlists/mklist":                  {"wordlists"},
	"server/internal/argon2":            nil,
	"server/internal/console":           {"server/internal/identity"},
	"server/internal/figures":           nil,
	"server/internal/mac":               nil,
	"server/internal/mutant":            nil,
	"server/internal/events":            nil,
	"server/internal/exposure":          nil,
	"server/internal/objects":           nil,
	"server/internal/pepper":            nil,
	"server/internal/sheet":             nil,
	"server/internal/strength":          nil,
	"server/internal/telemetry":         nil,
	"server/internal/strength/mktables": {"server/internal/strength"},
	"server/internal/password":          {"server/internal/argon2"},
	"server/internal/identity":          {"server/internal/objects"},

	"server/internal/oidc": {"server/internal/identity"},

	// Decisions.
	"server/internal/policy":          {"server/internal/mac", "server/internal/password"},
	"server/internal/policy/mktables": nil,
	"server/internal/evidence":        {"server/internal/exposure", "server/internal/policy", "server/internal/sheet"},
	"server/internal/throttle":        {"server/internal/mac"},
	"server/internal/lookup":          {"server/internal/password", "server/internal/policy", "server/internal/strength", "wordlists"},

	// The same decisions in a page.
	"server/internal/meter": {"server/internal/lookup", "server/internal/password", "server/internal/policy", "server/internal/strength", "wordlists"},
	"server/browser":        {"server/internal/meter", "server/internal/strength", "wordlists"},
	"client/js":             nil,

	// The order of steps.
	"server/internal/verifier": {"server/internal/lookup", "server/internal/objects", "server/internal/password", "server/internal/pepper",
		"server/internal/policy", "server/internal/throttle", "wordlists"},

	"server/internal/corpora": {"server/internal/password", "server/internal/policy", "server/internal/verifier", "wordlists"},
	"server/internal/audit": {"server/internal/objects", "server/internal/password", "server/internal/policy", "server/internal/strength",
		"server/internal/verifier", "wordlists"},
	"server/internal/audit/report": {"server/internal/audit", "server/internal/sheet"},
	"server/internal/policybook":   {"server/internal/objects", "server/internal/policy", "server/internal/verifier"},

	// Edges: they translate, or keep, and decide nothing.
	"server/internal/assets":                {"client/js", "server/internal/strength", "wordlists"},
	"server/internal/throttle/attacksim":    {"server/internal/throttle"},
	"server/internal/throttle/throttletest": {"server/internal/throttle"},
	"server/internal/redisthrottle":         {"server/internal/throttle"},
	"server/internal/boltstore":             {"server/internal/objects", "server/internal/verifier"},
	"server/internal/redisstore":            {"server/internal/objects", "server/internal/verifier"},
	"server/internal/pgstore":               {"server/internal/objects", "server/internal/policy", "server/internal/verifier"},
	"server/internal/storetest/procs":       nil,
	"server/internal/storetest":             {"server/internal/objects", "server/internal/verifier"},
	"server/internal/storetest/powercut":    nil,
	"server/internal/rpc": {"api", "api/watchword/v1", "server/internal/identity", "server/internal/password",
		"server/internal/policy", "server/internal/policybook", "server/internal/throttle", "server/internal/verifier", "wordlists/private"},

	// Where the rooms meet.
	"server/internal/daemon": {"server/internal/console", "api/watchword/v1", "server/internal/assets", "server/internal/audit", "server/internal/audit/report", "server/internal/boltstore", "server/internal/corpora", "server/internal/events", "server/internal/evidence", "server/internal/exposure", "server/internal/identity", "server/internal/mac", "server/internal/objects",
		"server/internal/oidc", "server/internal/password", "server/internal/pepper", "server/internal/pgstore", "server/internal/policy", "server/internal/policybook", "server/internal/redisstore", "server/internal/redisthrottle",
		"server/internal/rpc", "server/internal/telemetry", "server/internal/throttle", "server/internal/verifier", "wordlists", "wordlists/private"},
	"server": {"api/watchword/v1", "client", "client/watchword/completion", "server/internal/daemon", "server/internal/password", "server/internal/policy",
		"server/internal/policybook", "server/internal/throttle/attacksim", "server/internal/verifier", "wordlists", "wordlists/private"},
	"server/servertest": {"client", "server/internal/daemon"},
	"client":            {"api/watchword/v1", "wordlists/private"},
	"client/watchword":  {"client", "client/watchword/completion"},

	"client/watchword/completion": nil,
}

// homes says where an outside library may be imported.
var homes = map[string][]string{
	"google.golang.org/grpc":                 {"api/watchword/v1", "client", "server", "server/internal/daemon", "server/internal/rpc", "server/internal/telemetry"},
	"github.com/prometheus":                  {"server/internal/telemetry"},
	"go.opentelemetry.io":                    {"server/internal/telemetry"},
	"github.com/go-logr":                     {"server/internal/telemetry"},
	"github.com/grpc-ecosystem/grpc-gateway": {"api/watchword/v1", "server/internal/rpc"},
	"github.com/fullstorydev/grpchan":        {"server/internal/rpc"},
	"github.com/redis/go-redis":              {"server", "server/internal/redisstore", "server/internal/redisthrottle", "server/internal/storetest/procs"},
	"github.com/jackc/pgx":                   {"server/internal/pgstore"},
	"filippo.io/age":                         {"server/internal/daemon"},
	"github.com/envoyproxy/go-control-plane": {"server/internal/rpc"},
	"go.etcd.io/bbolt":                       {"server/internal/boltstore"},
	"go.yaml.in/yaml":                        {"server/internal/daemon", "server/internal/policy"},
	"golang.org/x/crypto/argon2":             {"server/internal/argon2"},
	"github.com/alecthomas/kong":             {"server", "client/watchword", "client/watchword/completion"},
	"github.com/go-crypt":                    {"server/internal/password"},
	"github.com/emmansun/gmsm":               {"server/internal/password", "server/internal/pepper"},
	"github.com/go-jose/go-jose":             {"server/internal/oidc"},
	"golang.org/x/time/rate":                 {"server/internal/rpc"},
	"github.com/cloudflare/circl":            {"wordlists/private"},
}

// maxSiblings is how many packages of ours one may know, apart from the public
// ones, which it uses as it would anybody's.
const maxSiblings = 6

func public(name string) bool {
	return strings.HasPrefix(name, "api") || strings.HasPrefix(name, "client") || name == "wordlists" || name == "wordlists/private"
}

func TestFloors(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		seen[name] = true
		allowed, listed := floors[name]
		if !listed {
			t.Errorf("package %s has no place in the plan", name)
			continue
		}
		siblings := 0
		for _, imp := range p.Imports {
			if own, ok := strings.CutPrefix(imp, module+"/"); ok {
				if !slices.Contains(allowed, own) {
					t.Errorf("%s imports %s, which the plan does not allow", name, own)
				}
				if !public(own) {
					siblings++
				}
				continue
			}
			for lib, rooms := range homes {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !slices.Contains(rooms, name) {
					t.Errorf("%s imports %s, whose home is elsewhere", name, imp)
				}
			}
		}
		if siblings > maxSiblings && name != "server/internal/daemon" {
			t.Errorf("%s knows %d packages of ours, more than %d", name, siblings, maxSiblings)
		}
	}
	for name := range floors {
		if !seen[name] {
			t.Errorf("the plan lists %s, which does not exist", name)
		}
	}
}

type listed struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...")
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []listed
	for d := json.NewDecoder(&out); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
