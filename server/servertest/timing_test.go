// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/servertest"
)

// crowd is how many subjects of each class there are.
const crowd = 1000

// sampler times one login of a class: 0 a known subject, 1 an unknown one.
type sampler func(class int) time.Duration

// welch gives the largest |t| of Welch's test between two classes of times,
// over all of them and over those below the 90th, 75th and 50th percentile of
// both together: the long tail of a busy machine hides small differences
// (Reparaz et al., "Dude, is my code constant time?", DATE 2017).
func welch(classes [2][]float64) float64 {
	both := slices.Sorted(slices.Values(append(slices.Clone(classes[0]), classes[1]...)))
	worst := 0.0
	for _, quantile := range []float64{1, .9, .75, .5} {
		limit := both[min(int(quantile*float64(len(both))), len(both)-1)]
		var n, mean, variance [2]float64
		for c, times := range classes {
			for _, x := range times {
				if x <= limit {
					n[c]++
					d := x - mean[c]
					mean[c] += d / n[c]
					variance[c] += d * (x - mean[c])
				}
			}
			variance[c] /= n[c] - 1
		}
		t := math.Abs(mean[0]-mean[1]) / math.Sqrt(variance[0]/n[0]+variance[1]/n[1])
		worst = max(worst, t)
	}
	return worst
}

// measure times both classes in random order. A planted difference is added
// to the second by spinning, as a server that took longer would.
func measure(sample sampler, count int, planted time.Duration) float64 {
	var classes [2][]float64
	for range count {
		c := rand.IntN(2)
		d := sample(c)
		if c == 1 && planted > 0 {
			begin := time.Now()
			for time.Since(begin) < planted {
			}
			d += time.Since(begin)
		}
		classes[c] = append(classes[c], float64(d))
	}
	return welch(classes)
}

// TestTimeTellsNothing compares how long a wrong password of a known subject,
// of a disabled one and of an imported one takes with one of an unknown
// subject, over both transports, at a cost of hashes so low that a difference
// of microseconds would show. A planted difference must be seen.
func TestTimeTellsNothing(t *testing.T) {
	const limit = 4.5
	count, planted := 4_000, 50*time.Microsecond
	if os.Getenv("WATCHWORD_LONG") != "" {
		count, planted = 100_000, 10*time.Microsecond
	}
	s := servertest.New(t)
	phc, err := s.Client.Hash(t.Context(), goodPassword)
	if err != nil {
		t.Fatal(err)
	}
	var rows bytes.Buffer
	for i := range crowd {
		fmt.Fprintf(&rows, `{"subject":"known-%d","phc":%q}`+"\n", i, phc)
		fmt.Fprintf(&rows, `{"subject":"disabled-%d","phc":%q,"state":"CREDENTIAL_STATE_DISABLED"}`+"\n", i, phc)
	}
	if code, answer := s.Post("/v1/credentials:import", rows.String()); code != 200 || strings.Contains(answer, "reason") {
		t.Fatalf("import: %d %.300s", code, answer)
	}
	// Each subject is asked in its turn, and its lanes opened before they close.
	asked := 0
	next := func(known string, class int) string {
		asked++
		name := fmt.Sprintf("%s-%d", [2]string{known, "nobody"}[class], asked%crowd)
		if asked/crowd%4 == 3 {
			if err := s.Client.ResetThrottle(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		return name
	}
	overGRPC := func(known string) sampler {
		return func(class int) time.Duration {
			name := next(known, class)
			begin := time.Now()
			login, err := s.Client.Verify(t.Context(), name, "a wrong guess", client.Source{ChallengePassed: true})
			if err != nil || login.Match {
				t.Fatalf("%s: %v, %v", name, login, err)
			}
			return time.Since(begin)
		}
	}
	overREST := func(known string) sampler {
		return func(class int) time.Duration {
			body := fmt.Appendf(nil, `{"subject":%q,"password":"a wrong guess","source":{"challengePassed":true}}`, next(known, class))
			req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/credentials:verify", bytes.NewReader(body))
			req.Header.Set("Authorization", "Bearer "+s.Key)
			req.Header.Set("Content-Type", "application/json")
			begin := time.Now()
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, resp.Body)
			took := time.Since(begin)
			if resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%d, %v", resp.StatusCode, err)
			}
			return took
		}
	}
	for name, sample := range map[string]sampler{
		"known, gRPC": overGRPC("known"), "known, REST": overREST("known"), "disabled, gRPC": overGRPC("disabled"),
	} {
		// A busy machine gives a false alarm now and then; a real difference does
		// not go away.
		var got float64
		for range 3 {
			if got = measure(sample, count, 0); got < limit {
				break
			}
		}
		if got >= limit {
			t.Errorf("%s: |t| = %.1f against nobody over %d samples, want below %v", name, got, count, limit)
		}
		var seen float64
		for range 3 {
			if seen = measure(sample, count, planted); seen >= limit {
				break
			}
		}
		if seen < limit {
			t.Errorf("%s: a planted difference of %v gives |t| = %.1f: the test sees nothing", name, planted, seen)
		} else {
			t.Logf("%s: |t| = %.1f, with %v planted %.1f", name, got, planted, seen)
		}
	}
}
