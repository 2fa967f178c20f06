// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"
)

// The window of an import holds what its bounds allow and no more, gives rows in
// their order, and lets go of both sides when the stream ends.
func TestImportWindow(t *testing.T) {
	small := &watchwordv1.ImportCredentialsRequest{Subject: "a"}
	large := &watchwordv1.ImportCredentialsRequest{Phc: strings.Repeat("x", 1<<20)}
	for _, tt := range []struct {
		name string
		row  *watchwordv1.ImportCredentialsRequest
		fits int
	}{{"by number", small, importRows}, {"by size", large, 8}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, put := newImportWindow(), 0
				go func() {
					for w.put(tt.row) {
						put++
					}
				}()
				synctest.Wait()
				if put != tt.fits {
					t.Fatalf("%d rows went in, want %d", put, tt.fits)
				}
				for _, most := range []int{1, 3, tt.fits} {
					want := min(most, tt.fits)
					if rows, err := w.take(most); err != nil || len(rows) != want {
						t.Fatalf("take(%d) = %d rows, %v, want %d", most, len(rows), err, want)
					}
					synctest.Wait()
				}
				if want := tt.fits + 1 + 3 + tt.fits; put != want {
					t.Errorf("%d rows went in after others were taken, want %d", put, want)
				}
				w.end(io.EOF)
			})
		})
	}
	t.Run("the end", func(t *testing.T) {
		w := newImportWindow()
		w.put(small)
		w.end(io.EOF)
		w.end(errors.New("later"))
		if w.put(small) {
			t.Error("a row went in after the end")
		}
		if rows, err := w.take(9); err != nil || len(rows) != 1 {
			t.Errorf("take = %d rows, %v, want what came before the end", len(rows), err)
		}
		if _, err := w.take(9); !errors.Is(err, io.EOF) {
			t.Errorf("take = %v, want EOF", err)
		}
	})
	t.Run("the caller went away", func(t *testing.T) {
		w, gone := newImportWindow(), errors.New("gone")
		w.put(small)
		w.end(gone)
		if rows, err := w.take(9); !errors.Is(err, gone) || rows != nil {
			t.Errorf("take = %d rows, %v, want nothing to be stored for nobody", len(rows), err)
		}
	})
	t.Run("waiting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newImportWindow()
			got := make(chan int, 1)
			go func() { rows, _ := w.take(9); got <- len(rows) }()
			synctest.Wait()
			w.put(small)
			if n := <-got; n != 1 {
				t.Errorf("%d rows, want 1 at once", n)
			}
		})
	})
}
