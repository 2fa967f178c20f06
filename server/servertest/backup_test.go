// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package servertest_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/watchword-project/watchword/client"
	"github.com/watchword-project/watchword/server/internal/daemon"
	"github.com/watchword-project/watchword/server/servertest"
)

// TestBackupUnderLoad takes backups while passwords are set and logins answered,
// and restores each: whoever had a password before it began has the same after,
// and nobody was made to wait for it to end.
func TestBackupUnderLoad(t *testing.T) {
	t.Parallel()
	const backups = 2
	s := servertest.Start(t, servertest.Options{Config: "hashing: {queue_wait: 20s}"})
	secret := func(i int) string { return fmt.Sprint("lantern walrus quay ", i) }
	name := func(i int) string { return fmt.Sprint("user", i) }
	var over atomic.Bool
	var stored atomic.Int64 // of the first worker: names in order
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; !over.Load(); i++ {
			if _, err := s.Client.Set(t.Context(), name(i), secret(i), noOptions); err != nil {
				t.Errorf("set during a backup: %v", err)
				return
			}
			stored.Store(int64(i + 1))
		}
	})
	for range 2 {
		wg.Go(func() {
			for !over.Load() {
				n := int(stored.Load())
				if n == 0 {
					runtime.Gosched()
					continue
				}
				if got, err := s.Client.Verify(t.Context(), name(n-1), secret(n-1), client.Source{}); err != nil || !got.Match {
					t.Errorf("login during a backup: %+v, %v", got, err)
					return
				}
			}
		})
	}
	type taken struct {
		before int // accounts that were stored when it began
		bytes  []byte
	}
	var all []taken
	for len(all) < backups {
		x := taken{before: int(stored.Load())}
		if x.before < 15*(len(all)+1) {
			runtime.Gosched()
			continue
		}
		var b bytes.Buffer
		if err := daemon.Backup(t.Context(), s.DataDir, nil, &b); err != nil {
			t.Fatal(err)
		}
		x.bytes = b.Bytes()
		all = append(all, x)
	}
	over.Store(true)
	wg.Wait()
	for i, x := range all {
		dir := sister(t, s, "pepper.key", "signing.key", "admin.key")
		if err := daemon.Restore(t.Context(), dir, nil, filepath.Join(s.DataDir, "backup.key"), bytes.NewReader(x.bytes)); err != nil {
			t.Fatalf("restore %d: %v", i, err)
		}
		r := servertest.Start(t, servertest.Options{DataDir: dir})
		missing, wrong := 0, 0
		for u := range x.before {
			got, err := r.Client.Verify(t.Context(), name(u), secret(u), client.Source{})
			switch {
			case err != nil:
				t.Fatal(err)
			case !got.Match:
				missing++
			}
			if got, err := r.Client.Verify(t.Context(), name(u), secret(u+1), client.Source{}); err != nil || got.Match {
				wrong++
			}
		}
		if missing+wrong > 0 {
			t.Errorf("backup %d of %d accounts lost %d, and let %d in with another's password", i, x.before, missing, wrong)
		}
		r.Stop()
	}
}
