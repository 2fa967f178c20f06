// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package daemon_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/watchword-project/watchword/server/internal/rpc"
)

// TestWorkOverRESTMayLast: the time limit of a connection is for those who do not
// read, and not for work that takes longer than it; here everything does.
func TestWorkOverRESTMayLast(t *testing.T) {
	_, with, secret := dataDirs(t)
	s, err := start(t, with, cheap+"listen: {grpc: 127.0.0.1:0, http: 127.0.0.1:0}")
	if err != nil {
		t.Fatal(err)
	}
	door := httptest.NewUnstartedServer(s.RPC().REST())
	door.Config.WriteTimeout, door.Config.ConnContext = time.Nanosecond, rpc.ConnContext
	door.Start()
	defer door.Close()
	for body, want := range map[string]int{`{"password":"tangled lantern orbit 7 walrus"}`: http.StatusOK, `{`: http.StatusBadRequest} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, door.URL+"/v1/passwords:check", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		req.Header.Set("Content-Type", "application/json")
		resp, err := door.Client().Do(req)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != want {
			t.Errorf("%s: %d, %v, want %d", body, resp.StatusCode, err, want)
		}
		resp.Body.Close()
	}
}
