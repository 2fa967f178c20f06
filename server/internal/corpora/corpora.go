// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package corpora holds the configured breach corpora open: it swaps in a new
// file while the old one still answers, checks the canaries of each, and says
// so when one cannot be trusted. What cannot be asked is DEGRADED, never "not
// listed".
package corpora

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/server/internal/password"
	"github.com/watchword-project/watchword/server/internal/policy"
	"github.com/watchword-project/watchword/server/internal/verifier"
	"github.com/watchword-project/watchword/wordlists"
)

// CheckEvery is how often the files are looked at for a change.
const CheckEvery = 2 * time.Second

// maxTweaks bounds how many close variants of a password are looked up.
const maxTweaks = wordlists.MaxTweaks

// Source is one configured corpus.
type Source struct {
	Name string
	Path string
}

// Shelf holds the corpora.
type Shelf struct {
	corpora []*corpus
	counts  Counters
}

// Counters count look-ups by what they rest on.
type Counters struct {
	Performed, Degraded atomic.Uint64
}

// corpus is one open file.
type corpus struct {
	Source
	handle wordlists.Handle
	info   atomic.Pointer[wordlists.Info]
	fault  atomic.Pointer[error]
	seen   stamp
}

// stamp tells one file at a path from another.
type stamp struct {
	size  int64
	mtime time.Time
	file  os.FileInfo
}

func (s stamp) same(o stamp) bool {
	return s.size == o.size && s.mtime.Equal(o.mtime) && (s.file == nil) == (o.file == nil) &&
		(s.file == nil || os.SameFile(s.file, o.file))
}

func stampOf(path string) (stamp, error) {
	st, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{st.Size(), st.ModTime(), st}, nil
}

// Open opens every corpus. One that cannot be opened, or whose canaries are
// not found, is an error: a start must not silently go without it.
func Open(sources []Source) (_ *Shelf, err error) {
	s := &Shelf{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	names := map[string]bool{}
	for i, src := range sources {
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
		if err := c.load(); err != nil {
			return nil, fmt.Errorf("corpus %s: %w", src.Name, err)
		}
		s.corpora = append(s.corpora, c)
	}
	return s, nil
}

// load opens the file, checks its canaries, and only then puts it in the place
// of the one that answers now.
func (c *corpus) load() error {
	at, err := stampOf(c.Path)
	if err != nil {
		return err
	}
	x, err := wordlists.Open(c.Path, wordlists.Options{})
	if err != nil {
		return err
	}
	if err := x.CheckCanaries(); err != nil {
		return errors.Join(err, x.Close())
	}
	info := x.Info()
	if err := c.handle.Swap(x); err != nil {
		return err
	}
	c.seen = at
	c.info.Store(&info)
	c.fault.Store(nil)
	return nil
}

// Run looks for changed files until ctx ends. A new file that is damaged
// leaves the one before in place; report hears of both.
func (s *Shelf) Run(ctx context.Context, report func(name string, err error)) {
	t := time.NewTicker(CheckEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.check(report)
		}
	}
}

func (s *Shelf) check(report func(name string, err error)) {
	for _, c := range s.corpora {
		at, err := stampOf(c.Path)
		if err != nil {
			if !c.seen.same(stamp{}) {
				c.seen = stamp{}
				report(c.Name, fmt.Errorf("the file is gone, the one that is open keeps answering: %w", err))
			}
			continue
		}
		if at.same(c.seen) {
			continue
		}
		err = c.load()
		c.seen = at // a damaged file is reported once
		report(c.Name, err)
	}
}

// broken notes that a look-up failed.
func (c *corpus) broken(err error) { c.fault.Store(&err) }

// Close gives the files back once look-ups under way have ended.
func (s *Shelf) Close() {
	for _, c := range s.corpora {
		_ = c.handle.Swap(nil)
	}
}

// with runs f on the open index.
func (c *corpus) with(f func(*wordlists.Index) error) error {
	x := c.handle.Acquire()
	if x == nil {
		return verifier.ErrNoCorpus
	}
	err := f(x)
	if err != nil && !errors.Is(err, wordlists.ErrHeadOnly) {
		c.broken(err)
	}
	return errors.Join(err, x.Close())
}

// Breach asks every corpus for a password, and with similar for its close
// variants when none has it.
func (s *Shelf) Breach(text password.Text, similar bool) policy.Breach {
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
		b.Similar = s.similar(text)
	}
	if b.Status == policy.Degraded {
		s.counts.Degraded.Add(1)
	} else {
		s.counts.Performed.Add(1)
	}
	return b
}

// similar tells whether a close variant is in a corpus.
func (s *Shelf) similar(text password.Text) bool {
	for _, c := range s.corpora {
		found := false
		err := c.with(func(x *wordlists.Index) error {
			for t := range wordlists.Tweaks(text.Reveal(), maxTweaks) {
				ok, err := x.Contains(x.Kind().Key(t))
				if err != nil || ok {
					found = ok
					return err
				}
			}
			return nil
		})
		if err == nil && found {
			return true
		}
	}
	return false
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
	asked := false
	for _, c := range s.corpora {
		info := c.info.Load()
		if info == nil || info.Kind != kind {
			continue
		}
		asked = true
		err := c.with(func(x *wordlists.Index) error { return x.CountBatch(one, keys) })
		if err != nil {
			out.Status = policy.Degraded
			continue
		}
		for i, n := range one {
			out.Counts[i] = max(out.Counts[i], n)
		}
		if out.Version != "" {
			out.Version += ","
		}
		out.Version += c.Name + "@" + info.Version
	}
	if !asked {
		return verifier.Counts{}, verifier.ErrNoCorpus
	}
	return out, nil
}

// Range gives the range of a prefix from the first corpus of the kind that
// keeps whole hashes.
func (s *Shelf) Range(kind wordlists.Kind, prefix uint32, padding bool) (verifier.Range, error) {
	pad := wordlists.PadNone
	if padding {
		pad = wordlists.PadFull
	}
	for _, c := range s.corpora {
		info := c.info.Load()
		if info == nil || info.Kind != kind || !info.Full {
			continue
		}
		out := verifier.Range{Built: info.Built}
		err := c.with(func(x *wordlists.Index) error {
			body, real, err := x.AppendRange(nil, prefix, pad)
			if err == nil {
				out.Body = body
				out.ETag, _ = wordlists.RangeTags(body, real)
			}
			return err
		})
		return out, err
	}
	return verifier.Range{}, verifier.ErrNoCorpus
}

// List tells the corpora and their state.
func (s *Shelf) List() []verifier.Corpus {
	var out []verifier.Corpus
	for _, c := range s.corpora {
		info := c.info.Load()
		one := verifier.Corpus{Name: c.Name, Kind: info.Kind, Version: info.Version, Entries: info.Entries, Built: info.Built, Ranges: info.Full}
		if f := c.fault.Load(); f != nil {
			one.Fault = *f
		}
		out = append(out, one)
	}
	return out
}

// Ready gives the fault of the first corpus that cannot be trusted, or nil.
func (s *Shelf) Ready() error {
	for _, c := range s.corpora {
		if f := c.fault.Load(); f != nil {
			return fmt.Errorf("corpus %s: %w", c.Name, *f)
		}
	}
	return nil
}

// Lookups gives how many look-ups every corpus answered, and how many not.
func (s *Shelf) Lookups() (performed, degraded uint64) {
	return s.counts.Performed.Load(), s.counts.Degraded.Load()
}
