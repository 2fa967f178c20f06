// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build mutants

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/watchword-project/watchword/server/internal/mutant"
)

// catchers names, for each fault that can be planted, the test that sees it.
var catchers = map[mutant.Fault]string{
	mutant.UnknownUnhashed:   "servertest.TestUnknownAndWrongAreOneAnswer",
	mutant.DisabledUnhashed:  "servertest.TestUnknownAndWrongAreOneAnswer",
	mutant.CheckThenAct:      "servertest.TestParallelGuessesHashAtMostTheBudget",
	mutant.NamesApart:        "servertest.TestSpellingsShareOneBudget",
	mutant.LeftmostHop:       "servertest.TestForgedForwardedHeaders",
	mutant.WholeIPv6:         "servertest.TestManyAddressesOfOneNetwork",
	mutant.OpenWithoutStore:  "servertest.TestRedisFaults",
	mutant.ErrorsAreGuesses:  "servertest.TestALostStoreIsNotAnUnknownSubject",
	mutant.RefusalsExtend:    "internal/throttle.TestRefusalsNeverExtendAWait",
	mutant.BcryptCuts:        "internal/password.TestBcryptTakesNothingOver72Bytes",
	mutant.InvertedCompare:   "internal/password.TestVectors",
	mutant.NotNormalised:     "servertest.TestDecomposedTextIsOneText",
	mutant.UpgradeOverwrites: "internal/verifier.TestRehashDoesNotOverwriteANewerPassword",
	mutant.MappedAddresses:   "internal/identity.TestParseNetworks",
	mutant.OpenRoutes:        "servertest.TestEveryRouteRefusesWithoutAKey",
	mutant.AnyHost:           "servertest.TestForeignHostsAndOriginsAreRefused",
	mutant.FaultsRepeat:      "servertest.TestMalformedBodies",
	mutant.RawLines:          "internal/events.TestOneEventIsOneLine",
	mutant.NoAnchor:          "internal/events.TestEveryTamperingIsFound",
	mutant.Unsynced:          "internal/boltstore.TestPowerCut",
	mutant.OneLine:           "servertest.TestGreedyTenant",
	mutant.Formulas:          "servertest.TestAuditReports",
}

// TestMutants plants each fault in turn and demands that its test fails, and
// that the same test passes without.
func TestMutants(t *testing.T) {
	dirs := map[string][]string{}
	for _, name := range catchers {
		dir, test, _ := strings.Cut(name, ".")
		if !slices.Contains(dirs[dir], test) {
			dirs[dir] = append(dirs[dir], test)
		}
	}
	programs := t.TempDir()
	run := func(dir, test string, f mutant.Fault) (string, bool) {
		cmd := exec.Command(filepath.Join(programs, filepath.Base(dir)), "-test.run", "^("+test+")$", "-test.timeout", "2m", "-test.failfast")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "WATCHWORD_MUTANT="+string(f))
		out, err := cmd.CombinedOutput()
		return string(out), err == nil
	}
	for dir, tests := range dirs {
		out, err := exec.Command("go", "test", "-c", "-tags", "mutants", "-o", filepath.Join(programs, filepath.Base(dir)), "./"+dir).CombinedOutput()
		if err != nil {
			t.Fatalf("building the tests of %s: %v\n%s", dir, err, out)
		}
		if out, ok := run(dir, strings.Join(tests, "|"), ""); !ok {
			t.Fatalf("%s: %v do not pass without a fault:\n%s", dir, tests, out)
		}
	}
	for _, f := range mutant.All {
		t.Run(string(f), func(t *testing.T) {
			name, listed := catchers[f]
			if !listed {
				t.Fatal("no test is named for this fault")
			}
			dir, test, _ := strings.Cut(name, ".")
			out, ok := run(dir, test, f)
			switch {
			case ok:
				t.Errorf("%s passes", name)
			case !strings.Contains(out, "--- FAIL: "+test) && !strings.Contains(out, "panic:"):
				t.Errorf("%s did not fail, something else did:\n%s", name, out)
			default:
				t.Logf("caught by %s", name)
			}
		})
	}
}
