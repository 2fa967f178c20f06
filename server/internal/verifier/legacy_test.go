// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package verifier

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
)

// A measured time goes with the pace of the machine, within bounds, and stays
// where the pace is unknown or of another scheme.
func TestMeasuredAtAnotherPace(t *testing.T) {
	const by = password.Argon2id
	m := measured{Took: 100 * time.Millisecond, Pace: 200, By: by}
	for _, tt := range []struct {
		m    measured
		by   password.Scheme
		pace float64
		want time.Duration
	}{
		{m, by, 200, 100 * time.Millisecond},
		{m, by, 300, 150 * time.Millisecond},
		{m, by, 160, 80 * time.Millisecond},
		{m, by, 1e9, mostPace * 100 * time.Millisecond},
		{m, by, 1e-9, 50 * time.Millisecond},
		{m, by, 0, 100 * time.Millisecond},
		{m, password.PBKDF2SHA256, 1000, 100 * time.Millisecond},
		{measured{Took: time.Second}, by, 1000, time.Second},
	} {
		if got := tt.m.at(tt.by, tt.pace); got != tt.want {
			t.Errorf("%+v at %s %g = %v, want %v", tt.m, tt.by, tt.pace, got, tt.want)
		}
	}
	slow := times{"a": m, "b": {Took: 120 * time.Millisecond, Pace: 400, By: by}}
	if got := slow.slowest(by, 400); got != 200*time.Millisecond {
		t.Errorf("the slowest at twice the pace takes %v, want 200ms", got)
	}
}

// Between two looks at the pace every answer waits alike, whatever was hashed.
func TestPaceIsLookedAtNowAndThen(t *testing.T) {
	pace := 200.0
	l := &legacyTimes{
		look:  func() (password.Scheme, float64) { return password.Argon2id, pace },
		known: map[string]times{"a": {"x": {Took: 100 * time.Millisecond, Pace: 200, By: password.Argon2id}}},
	}
	for _, step := range []struct {
		pace float64
		look bool
		want time.Duration
	}{
		{400, false, 100 * time.Millisecond}, {400, true, 200 * time.Millisecond},
		{600, false, 200 * time.Millisecond}, {600, true, 300 * time.Millisecond}, {200, true, 100 * time.Millisecond},
	} {
		if pace = step.pace; step.look {
			l.keepPace()
		}
		if got := l.floor("a"); got != step.want {
			t.Errorf("at pace %g, looked at: %t: %v, want %v", step.pace, step.look, got, step.want)
		}
		if got := l.floor("b"); got != 0 {
			t.Errorf("a tenant without such rows waits %v", got)
		}
	}
}

func TestMeasuredForms(t *testing.T) {
	var got times
	if err := json.Unmarshal([]byte(`{"old":1500,"new":{"took":2500,"pace":1.5,"by":"argon2id"}}`), &got); err != nil {
		t.Fatal(err)
	}
	want := times{"old": {Took: 1500}, "new": {Took: 2500, Pace: 1.5, By: password.Argon2id}}
	for name, m := range want {
		if got[name] != m {
			t.Errorf("%s = %+v, want %+v", name, got[name], m)
		}
	}
	b, _ := json.Marshal(want)
	var again times
	if err := json.Unmarshal(b, &again); err != nil || again["new"] != want["new"] || again["old"] != want["old"] {
		t.Errorf("read again: %+v, %v", again, err)
	}
	for _, bad := range []string{`{"x":"1s"}`, `{"x":{"took":"1s"}}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
