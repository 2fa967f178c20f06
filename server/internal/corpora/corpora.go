// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package corpora holds the configured breach corpora open: it swaps in a new
// file while the old one still answers, checks the canaries of each, and says
// so when one cannot be trusted. What cannot be asked is DEGRADED, never "not
// listed".
package corpora

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/verifier"
	"github.com/watchword-project/watchword/wordlists"
)

// CheckEvery is how often the files are looked at for a change.
const CheckEvery = 2 * time.Second

// Source is one configured corpus.
type Source struct {
	Name string
	Path string
	// SignedBy are files of public keys. With any, one of them must have signed
	// the file's manifest.
	SignedBy []string
	// Unbounded lifts the bounds between the list in use and one that takes
	// its place, for lists that people edit by hand.
	Unbounded bool
	// Preload brings the file into memory before it is used.
	Preload wordlists.Preload
}

// Config is what a shelf is made of.
type Config struct {
	Sources []Source
	// PublicPadding pads ranges as the public service does, by 10 to 209
	// lines, instead of to the length of the longest range.
	PublicPadding bool
}

// Shelf holds the corpora.
type Shelf struct {
	turn    sync.Mutex // one look at the files at a time
	corpora []*corpus
	padding wordlists.Padding
	counts  counters
}

// counters count look-ups of passwords by what they rest on.
type counters struct {
	performed, degraded, skipped atomic.Uint64
}

// corpus is one open file.
type corpus struct {
	Source
	keys    []ed25519.PublicKey
	handle  wordlists.Handle
	serving atomic.Pointer[serving]
	refused atomic.Pointer[error] // why the file now at the path is not in use
	seen    stamp
}

// serving is the index in use.
type serving struct {
	info  wordlists.Info
	fault atomic.Pointer[error] // why it cannot be trusted any more
}

// stamp tells one file at a path, and its manifest, from another.
type stamp struct{ file, manifest os.FileInfo }

func (s stamp) same(o stamp) bool {
	return sameFile(s.file, o.file) && sameFile(s.manifest, o.manifest)
}

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

func (c *corpus) stamp() (at stamp, err error) {
	if at.file, err = os.Stat(c.Path); err != nil || len(c.keys) == 0 {
		return at, err
	}
	// Without a manifest the file is refused by name.
	at.manifest, _ = os.Stat(wordlists.ManifestPath(c.Path))
	return at, nil
}

// Open opens every corpus. One that cannot be opened, or whose canaries are
// not found, is an error: a start must not silently go without it.
func Open(ctx context.Context, cfg Config) (_ *Shelf, err error) {
	s := &Shelf{padding: wordlists.PadFull}
	if cfg.PublicPadding {
		s.padding = wordlists.PadPublic
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	names := map[string]bool{}
	for i, src := range cfg.Sources {
		switch {
		case !wordlists.ValidName(src.Name):
			return nil, fmt.Errorf("corpora[%d].name is not a name ([a-z0-9][a-z0-9._-]{0,63})", i)
		case names[src.Name]:
			return nil, fmt.Errorf("corpora[%d].name stands twice", i)
		case src.Path == "":
			return nil, fmt.Errorf("corpora[%d].path is empty", i)
		}
		names[src.Name] = true
		c := &corpus{Source: src}
		if err := c.open(ctx); err != nil {
			return nil, fmt.Errorf("corpus %s: %w", src.Name, err)
		}
		s.corpora = append(s.corpora, c)
	}
	return s, nil
}

// open reads the keys and puts the first file in use.
func (c *corpus) open(ctx context.Context) error {
	for _, path := range c.SignedBy {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key, err := wordlists.ParsePublicKey(text)
		if err != nil {
			return err
		}
		c.keys = append(c.keys, key)
	}
	at, err := c.stamp()
	if err != nil {
		return err
	}
	return c.load(ctx, at)
}

// load puts the file at the path in use, if it may take the place of the one
// that is.
func (c *corpus) load(ctx context.Context, at stamp) error {
	c.seen = at
	info, err := c.handle.Load(ctx, c.Path, wordlists.LoadOptions{Options: wordlists.Options{Preload: c.Preload}, Keys: c.keys, Force: c.Unbounded})
	if err != nil {
		return err
	}
	c.serving.Store(&serving{info: info})
	return nil
}

// Run looks for changed files, and asks for the canaries of those in use,
// until ctx ends. A new file that is damaged, or that looks like anything but a
// successor of the one in use, leaves that one in place; report hears of both.
func (s *Shelf) Run(ctx context.Context, report func(name string, err error)) {
	t := time.NewTicker(CheckEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.Check(ctx, report)
		}
	}
}

// Check does once, and now, what Run does again and again.
func (s *Shelf) Check(ctx context.Context, report func(name string, err error)) {
	s.turn.Lock()
	defer s.turn.Unlock()
	for _, c := range s.corpora {
		c.check(ctx, report)
	}
}

func (c *corpus) check(ctx context.Context, report func(name string, err error)) {
	_ = c.with(func(x *wordlists.Index) error { return x.CheckCanaries() })
	at, err := c.stamp()
	if at.same(c.seen) {
		return
	}
	if err != nil {
		c.seen = at
		err = fmt.Errorf("the file is gone, the one that is open keeps answering: %w", err)
	} else {
		err = c.load(ctx, at)
	}
	if ctx.Err() != nil {
		return
	}
	c.refused.Store(nil)
	if err != nil {
		c.refused.Store(&err)
	}
	report(c.Name, err)
}

// Close gives the files back once look-ups under way have ended.
func (s *Shelf) Close() {
	for _, c := range s.corpora {
		_ = c.handle.Swap(nil)
	}
}

// with runs f on the index in use, and notes it when that one cannot answer.
func (c *corpus) with(f func(*wordlists.Index) error) error {
	x := c.handle.Acquire()
	if x == nil {
		return verifier.ErrNoCorpus
	}
	err := f(x)
	// A fault of an index that was exchanged meanwhile says nothing of the next.
	if now := c.serving.Load(); err != nil && now.info.Version == x.Info().Version {
		now.fault.Store(&err)
	}
	return errors.Join(err, x.Close())
}

// Breach asks every corpus for a password, and with similar for its close
// variants when none has it: wordlists.MaxTweaks of them at most.
func (s *Shelf) Breach(text password.Text, similar bool) policy.Breach {
	b := s.breach(text, similar)
	switch b.Status {
	case policy.Skipped:
		s.counts.skipped.Add(1)
	case policy.Degraded:
		s.counts.degraded.Add(1)
	default:
		s.counts.performed.Add(1)
	}
	return b
}

func (s *Shelf) breach(text password.Text, similar bool) policy.Breach {
	if len(s.corpora) == 0 {
		return policy.Breach{Status: policy.Skipped}
	}
	b := policy.Breach{Status: policy.Performed}
	var versions []string
	for _, c := range s.corpora {
		err := c.with(func(x *wordlists.Index) error {
			versions = append(versions, c.Name+"@"+x.Info().Version)
			n, found, err := x.Count(x.Kind().Key(text.Reveal()))
			b.Found = b.Found || found
			b.Count = max(b.Count, uint64(n))
			return err
		})
		if err != nil {
			b.Status = policy.Degraded
		}
	}
	b.CorpusVersion = strings.Join(versions, ",")
	if similar && !b.Found && b.Status == policy.Performed {
		var err error
		if b.Similar, err = s.similar(text); err != nil {
			b.Status = policy.Degraded
		}
	}
	return b
}

// similar tells whether a close variant of a password is in a corpus.
func (s *Shelf) similar(text password.Text) (bool, error) {
	var keys [wordlists.MaxTweaks]wordlists.Key
	var counts [wordlists.MaxTweaks]uint32
	for _, c := range s.corpora {
		found := false
		err := c.with(func(x *wordlists.Index) error {
			n := 0
			for t := range wordlists.Tweaks(text.Reveal(), len(keys)) {
				keys[n] = x.Kind().Key(t)
				n++
			}
			if err := x.CountBatch(counts[:n], keys[:n]); err != nil {
				return err
			}
			found = slices.ContainsFunc(counts[:n], func(n uint32) bool { return n > 0 })
			return nil
		})
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// Counts looks digests up in all corpora of a kind; the largest count wins.
func (s *Shelf) Counts(kind wordlists.Kind, digests []string) (verifier.Counts, error) {
	keys := make([]wordlists.Key, len(digests))
	for i, d := range digests {
		var err error
		if keys[i], err = kind.ParseKey(d); err != nil {
			return verifier.Counts{}, &verifier.DigestError{Index: i}
		}
	}
	out := verifier.Counts{Counts: make([]uint32, len(keys)), Status: policy.Performed}
	one := make([]uint32, len(keys))
	var versions []string
	asked := false
	for _, c := range s.corpora {
		if c.serving.Load().info.Kind != kind {
			continue
		}
		asked = true
		err := c.with(func(x *wordlists.Index) error {
			versions = append(versions, c.Name+"@"+x.Info().Version)
			return x.CountBatch(one, keys)
		})
		if err != nil {
			out.Status = policy.Degraded
			continue
		}
		for i, n := range one {
			out.Counts[i] = max(out.Counts[i], n)
		}
	}
	if !asked {
		return verifier.Counts{}, verifier.ErrNoCorpus
	}
	out.Version = strings.Join(versions, ",")
	return out, nil
}

// Range gives the range of a prefix from the first corpus of the kind that
// keeps whole hashes. One that cannot answer is as good as none.
func (s *Shelf) Range(kind wordlists.Kind, prefix uint32, padding bool) (verifier.Range, error) {
	pad := wordlists.PadNone
	if padding {
		pad = s.padding
	}
	for _, c := range s.corpora {
		if info := &c.serving.Load().info; info.Kind != kind || !info.Full {
			continue
		}
		var out verifier.Range
		err := c.with(func(x *wordlists.Index) error {
			body, real, err := x.AppendRange(nil, prefix, pad)
			if err != nil {
				return err
			}
			out.Body, out.Built = body, x.Info().Built
			out.ETag, out.ContentMD5 = wordlists.RangeTags(body, real)
			return nil
		})
		if err != nil {
			return verifier.Range{}, fmt.Errorf("%w: %w", verifier.ErrNoCorpus, err)
		}
		return out, nil
	}
	return verifier.Range{}, verifier.ErrNoCorpus
}

// List tells the corpora and their state.
func (s *Shelf) List() []verifier.Corpus {
	var out []verifier.Corpus
	for _, c := range s.corpora {
		now := c.serving.Load()
		one := verifier.Corpus{Name: c.Name, Kind: now.info.Kind, Version: now.info.Version, Entries: now.info.Entries,
			Built: now.info.Built, Ranges: now.info.Full}
		if f := now.fault.Load(); f != nil {
			one.Fault = why(*f)
		}
		if r := c.refused.Load(); r != nil {
			one.Refused = why(*r)
		}
		out = append(out, one)
	}
	return out
}

// why names an error in a word that may leave the process.
func why(err error) string {
	for _, n := range []struct {
		err  error
		word string
	}{
		{wordlists.ErrCorrupt, "DAMAGED"}, {wordlists.ErrFormat, "FOREIGN"}, {wordlists.ErrCanary, "CANARY"},
		{wordlists.ErrKind, "KIND"}, {wordlists.ErrSignature, "UNSIGNED"}, {wordlists.ErrRefused, "BOUNDS"},
		{fs.ErrNotExist, "MISSING"},
	} {
		if errors.Is(err, n.err) {
			return n.word
		}
	}
	return "UNREADABLE"
}

// Ready gives the fault of the first corpus that cannot be trusted, or nil.
func (s *Shelf) Ready() error {
	for _, c := range s.corpora {
		if f := c.serving.Load().fault.Load(); f != nil {
			return fmt.Errorf("corpus %s: %w", c.Name, *f)
		}
	}
	return nil
}

// Lookups counts the look-ups of passwords since the start, by what they rest
// on.
func (s *Shelf) Lookups() verifier.Lookups {
	return verifier.Lookups{Performed: s.counts.performed.Load(), Degraded: s.counts.degraded.Load(), Skipped: s.counts.skipped.Load()}
}
