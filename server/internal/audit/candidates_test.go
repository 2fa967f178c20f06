// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit_test

import (
	"slices"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/audit"
	"github.com/watchword-project/watchword/server/internal/policy"
)

var spring = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// What people make of their names, dates and employer is among the guesses, and
// the likely before the unlikely.
func TestCandidates(t *testing.T) {
	t.Parallel()
	zhang := policy.Context{Login: "zw8", Names: []string{"张伟"}, BirthDate: "1990-05-17", Phones: []string{"13812345678"}}
	smith := policy.Context{Login: "jsmith", Names: []string{"John Smith"}, Emails: []string{"john.smith@contoso.example"}}
	for _, c := range []struct {
		who    string
		person audit.Person
		want   map[string]int // guesses with the latest place at which they may come
	}{
		{"Chinese name", audit.Person{Context: zhang}, map[string]int{
			"zw8": 2, "zhangwei": 40, "zhangwei123": 60, "zhangwei1990": 120, "zw1990": 200, "Zhangwei@123": 300, "zw19900517": 300,
			"zhangwei5678": 500, "woainizhangwei": 4096, "13812345678": 20}},
		{"English name", audit.Person{Context: smith}, map[string]int{
			"jsmith": 2, "john": 40, "smith123": 120, "John2026": 400, "johnsmith1": 200, "$m1th": 4096, "htims": 4096}},
		{"organisation", audit.Person{Context: policy.Context{Login: "q7"}, Words: []string{"Contoso"}}, map[string]int{
			"Contoso@2026": 100, "contoso123": 20, "Contoso2025": 100, "Contoso@2026!": 400, "contoso2027": 400}},
		{"product", audit.Person{Login: "admin", MayBeEmpty: true}, map[string]int{"": 1, "admin": 200, "admin123": 500}},
	} {
		list := audit.Candidates(c.person, spring, 4096)
		seen := map[string]int{}
		for i, x := range list {
			if x.Class == "" || seen[x.Text] > 0 {
				t.Errorf("%s: guess %d, %q of class %q, was at %d", c.who, i+1, x.Text, x.Class, seen[x.Text])
			}
			seen[x.Text] = i + 1
		}
		for text, latest := range c.want {
			if at := seen[text]; at == 0 || at > latest {
				t.Errorf("%s: %q is guess %d of %d, want at most %d", c.who, text, at, len(list), latest)
			}
		}
		for _, limit := range []int{0, 1, 7, 100} {
			if got := audit.Candidates(c.person, spring, limit); !slices.Equal(got, list[:min(limit, len(list))]) {
				t.Errorf("%s: %d guesses are not the first of all", c.who, limit)
			}
		}
	}
	if got := audit.Candidates(audit.Person{}, spring, 100); len(got) > 0 {
		t.Errorf("of nobody: %v", got)
	}
}

// Rounds deal every guess out once: neither share shrinks, both together are as
// many as asked for, and the person's never exceed what there is.
func TestShare(t *testing.T) {
	t.Parallel()
	for _, own := range []int{0, 1, 5, 49, 4096} {
		before := [2]int{}
		for n := range 10_001 {
			person, list := audit.Share(n, own)
			if person+list != n || person > own || person < before[0] || list < before[1] {
				t.Fatalf("share(%d, %d) = %d, %d behind %v", n, own, person, list, before)
			}
			before = [2]int{person, list}
		}
	}
	for guesses, want := range map[int][]int{1: {0, 1}, 10: {0, 10}, 11: {0, 10, 11}, 1000: {0, 10, 100, 1000}, 100_000: {0, 10, 100, 1000, 10_000, 100_000}} {
		if got := audit.Rounds(guesses); !slices.Equal(got, want) {
			t.Errorf("rounds of %d: %v, want %v", guesses, got, want)
		}
	}
}
