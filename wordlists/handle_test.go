// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/watchword-project/watchword/wordlists"
)

// exchanger is what the readers of TestSwapUnderLoad ask.
type exchanger interface {
	Acquire() *wordlists.Index
	release(*wordlists.Index)
	load(path string) error
	drop()
}

type handle struct{ wordlists.Handle }

func (h *handle) release(x *wordlists.Index) { x.Close() }
func (h *handle) load(path string) error {
	_, err := h.Load(context.Background(), path, wordlists.LoadOptions{Force: true})
	return err
}
func (h *handle) drop() { h.Swap(nil) }

// rashHandle is a planted fault: it unmaps the old file without waiting for
// its readers.
type rashHandle struct {
	current atomic.Pointer[wordlists.Index]
}

func (h *rashHandle) Acquire() *wordlists.Index { return h.current.Load() }
func (h *rashHandle) release(*wordlists.Index)  {}
func (h *rashHandle) load(path string) error {
	x, err := wordlists.Open(path, wordlists.Options{})
	if err != nil {
		return err
	}
	if old := h.current.Swap(x); old != nil {
		return old.Close()
	}
	return nil
}
func (h *rashHandle) drop() { h.current.Swap(nil).Close() }

// Readers see one whole list or the other through many exchanges, no reader
// ever meets an unmapped file, and none stays mapped.
func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var paths [2]string
	var lists [2][]entry
	for i := range paths {
		lists[i] = generate(uint64(10+i), 20_000, wordlists.SHA1)
		paths[i] = filepath.Join(dir, string(rune('a'+i))+".wwix")
		build(t, wordlists.BuildOptions{In: hashesFile(t, lists[i], wordlists.SHA1), Out: paths[i], Partial: true})
	}
	// exchange counts the readers that saw anything but one whole list.
	exchange := func(h exchanger, swaps int) (bad int64) {
		if err := h.load(paths[0]); err != nil {
			t.Fatal(err)
		}
		var stop atomic.Bool
		var wrong atomic.Int64
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				r := rng(g)
				for !stop.Load() {
					x := h.Acquire()
					e0, e1 := lists[0][r.next()%uint64(len(lists[0]))], lists[1][r.next()%uint64(len(lists[1]))]
					_, in0, err0 := x.Count(e0.key)
					_, in1, err1 := x.Count(e1.key)
					h.release(x)
					if err0 != nil || err1 != nil || in0 == in1 {
						wrong.Add(1)
					}
				}
			})
		}
		for i := range swaps {
			if err := h.load(paths[(i+1)%2]); err != nil {
				t.Errorf("exchange %d: %v", i, err)
				break
			}
			if wrong.Load() > 0 {
				break
			}
		}
		stop.Store(true)
		wg.Wait()
		if n := mappings(t, dir); n > 1 {
			t.Errorf("%d mappings are left, want that of the index in use", n)
		}
		h.drop()
		if n := mappings(t, dir); n != 0 {
			t.Errorf("%d mappings are left after the last index was given back", n)
		}
		return wrong.Load()
	}
	swaps := 50
	if *long {
		swaps = 1000
	}
	if bad := exchange(&handle{}, swaps); bad > 0 {
		t.Errorf("%d readers saw something else than one whole list", bad)
	}
	if bad := exchange(&rashHandle{}, 20_000); bad == 0 {
		t.Error("the planted fault was not noticed")
	}
}

func TestEmptyHandle(t *testing.T) {
	var h wordlists.Handle
	if h.Acquire() != nil {
		t.Error("an empty handle gives an index")
	}
	if err := h.Swap(nil); err != nil {
		t.Error(err)
	}
}

// A file that is replaced, or removed, while it is mapped keeps answering; a
// bad replacement is refused and the good one stays in use.
func TestReplacedWhileMapped(t *testing.T) {
	t.Parallel()
	list := generate(12, 20_000, wordlists.SHA1)
	path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, list, wordlists.SHA1), Partial: true})
	var h wordlists.Handle
	load := func(path string) error {
		_, err := h.Load(t.Context(), path, wordlists.LoadOptions{})
		return err
	}
	if err := load(path); err != nil {
		t.Fatal(err)
	}
	defer h.Swap(nil)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(what string) {
		t.Helper()
		x := h.Acquire()
		defer x.Close()
		for _, e := range list[:1000] {
			if n, found, err := x.Count(e.key); n != e.count || !found || err != nil {
				t.Fatalf("%s: Count = %d, %t, %v", what, n, found, err)
			}
		}
	}
	half := append([]byte(nil), good[:len(good)/2]...)
	flipped := append([]byte(nil), good...)
	flipped[len(good)/2] ^= 4
	for what, content := range map[string][]byte{"half a file": half, "a flipped bit": flipped, "an empty file": nil, "a foreign file": []byte("hello")} {
		if err := os.WriteFile(path+".new", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		if err := load(path); !errors.Is(err, wordlists.ErrCorrupt) && !errors.Is(err, wordlists.ErrFormat) {
			t.Errorf("Load of %s: %v", what, err)
		}
		ask(what)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	ask("removed")

	// Of another kind.
	other, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, generate(1, 1000, wordlists.NTLM), wordlists.NTLM), Kind: wordlists.NTLM, Partial: true})
	if err := load(other); !errors.Is(err, wordlists.ErrKind) {
		t.Errorf("Load of another kind: %v, want ErrKind", err)
	}
	ask("another kind")
}

// A list that lost much, or holds other members, never takes the place of a
// good one; one that was in use before may always come back.
func TestLoadIsBounded(t *testing.T) {
	t.Parallel()
	list := generateIn(14, 40, wordlists.SHA1, 1, 2, 3)
	grown := generateIn(14, 40, wordlists.SHA1, 1, 2, 3, 4, 5)
	file := func(all []entry) string {
		path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, all, wordlists.SHA1), Partial: true})
		return path
	}
	good, more := file(list), file(grown)
	var h wordlists.Handle
	defer h.Swap(nil)
	load := func(path string, force bool) error {
		_, err := h.Load(t.Context(), path, wordlists.LoadOptions{Force: force})
		return err
	}
	if err := load(good, false); err != nil {
		t.Fatal(err)
	}
	for what, all := range map[string][]entry{
		"half of it": list[:len(list)/2], "one entry": list[:1], "other members": generateIn(15, 40, wordlists.SHA1, 1, 2, 3),
		"three times as many": generateIn(14, 40, wordlists.SHA1, 1, 2, 3, 4, 5, 6, 7, 8, 9),
	} {
		path := file(all)
		if err := load(path, false); !errors.Is(err, wordlists.ErrRefused) {
			t.Errorf("Load of %s: %v, want ErrRefused", what, err)
		}
		if what == "one entry" {
			if err := load(path, true); err != nil {
				t.Errorf("Load of %s, forced: %v", what, err)
			}
			if err := load(good, false); err != nil {
				t.Errorf("Load of what was in use before: %v", err)
			}
		}
	}
	if err := load(more, false); err != nil {
		t.Errorf("Load of a list that grew: %v", err)
	}
	if err := load(good, false); err != nil {
		t.Errorf("Load of the one before it: %v", err)
	}
}

// A list that does not answer as its builder recorded is not put in use, with
// every checksum true and whatever bounds are lifted: neither first nor in the
// place of a good one.
func TestCanariesGateTheLoad(t *testing.T) {
	t.Parallel()
	path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, generateIn(16, 40, wordlists.SHA1, 1, 2), wordlists.SHA1), Partial: true})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const number, first, size = 127, 128, 24 // of the canaries in the header
	for what, change := range map[string]func(file []byte){
		"a member that is missing": func(b []byte) { b[first+10] ^= 1; b[first] ^= 0xf0 },
		"a count that is too low":  func(b []byte) { b[first+2*size+23]++ },
		"none to ask for":          func(b []byte) { clear(b[number : first+int(b[number])*size]) },
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		b := bytes.Clone(whole)
		if b[number] != 16 {
			t.Fatalf("the file has %d canaries, want 16", b[number])
		}
		change(b)
		wordlists.ResealFrame(b)
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		x := openIndex(t, bad, wordlists.Options{}) // its frame is sound
		if err := x.CheckCanaries(); !errors.Is(err, wordlists.ErrCanary) {
			t.Errorf("CheckCanaries with %s: %v, want ErrCanary", what, err)
		}
		var h wordlists.Handle
		if _, err := h.Load(t.Context(), bad, wordlists.LoadOptions{Force: true}); !errors.Is(err, wordlists.ErrCanary) || h.Acquire() != nil {
			t.Errorf("Load with %s: %v, want ErrCanary and nothing in use", what, err)
		}
		good, err := h.Load(t.Context(), path, wordlists.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Load(t.Context(), bad, wordlists.LoadOptions{Force: true}); !errors.Is(err, wordlists.ErrCanary) {
			t.Errorf("Load with %s: %v, want ErrCanary", what, err)
		}
		x = h.Acquire()
		if x.Info().Version != good.Version {
			t.Errorf("with %s: version %s is in use, want %s", what, x.Info().Version, good.Version)
		}
		x.Close()
		h.Swap(nil)
	}
}

// A file truncated in place under the mapping gives errors, neither wrong
// answers nor a crash.
func TestTruncatedInPlace(t *testing.T) {
	t.Parallel()
	list := generate(13, 100_000, wordlists.SHA1)
	path, _ := build(t, wordlists.BuildOptions{In: hashesFile(t, list, wordlists.SHA1), Partial: true, Full: true})
	x := openIndex(t, path, wordlists.Options{})
	memory := openIndex(t, path, wordlists.Options{Preload: wordlists.PreloadMemory})
	if err := os.Truncate(path, 512<<10); err != nil {
		t.Fatal(err)
	}
	damaged := 0
	keys := make([]wordlists.Key, len(list))
	for i, e := range list {
		keys[i] = e.key
		n, found, err := x.Count(e.key)
		switch {
		case errors.Is(err, wordlists.ErrCorrupt):
			damaged++
		case err != nil || !found || n != e.count:
			t.Fatalf("Count = %d, %t, %v", n, found, err)
		}
		if n, found, err := memory.Count(e.key); n != e.count || !found || err != nil {
			t.Fatalf("Count of a copy in memory = %d, %t, %v", n, found, err)
		}
	}
	if damaged < len(list)/2 {
		t.Errorf("%d of %d look-ups met the damage", damaged, len(list))
	}
	if err := x.CountBatch(make([]uint32, len(keys)), keys); !errors.Is(err, wordlists.ErrCorrupt) {
		t.Errorf("CountBatch = %v, want ErrCorrupt", err)
	}
	if _, _, err := x.AppendRange(nil, 0xfffff, wordlists.PadNone); !errors.Is(err, wordlists.ErrCorrupt) {
		t.Errorf("AppendRange = %v, want ErrCorrupt", err)
	}
	if err := x.Verify(t.Context()); !errors.Is(err, wordlists.ErrCorrupt) {
		t.Errorf("Verify = %v, want ErrCorrupt", err)
	}
}
