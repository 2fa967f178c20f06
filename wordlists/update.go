// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/watchword-project/watchword/wordlists/internal/whole"
)

// UpdateOptions describe how ranges are built into an index.
type UpdateOptions struct {
	// File is the index to update and From the folder of range files: all of
	// them, or only those that changed.
	File, From string
	// Force lifts the bounds between the old list and the new one, but neither
	// order and syntax nor the canaries.
	Force bool
	// Workers, Now and Progress are as in BuildOptions.
	Workers  int
	Now      func() time.Time
	Progress func(Progress)
}

// UpdateResult describes a finished update.
type UpdateResult struct {
	Info     Info
	Previous string // version of the index before
	Ranges   int    // range files built in
	Segments int    // segments built anew; the others were copied
	// Unchanged says that no range differed by its tag from what was built in
	// before: the file was left alone.
	Unchanged bool
}

// errNeedsSegment is returned when an index without whole hashes cannot take
// in some of a segment's ranges because the others would lose their place.
var errNeedsSegment = &InputError{Err: ErrIncomplete,
	Reason: "an index without whole hashes needs all 256 ranges of a segment that grew this much"}

// Update builds the range files of a folder into an index: the segments they
// fall into are built anew, the others copied after a check of their
// checksums, and the new file takes the old one's name in one step. The old
// one is kept as File + ".previous"; Rollback goes back to it.
//
// Ranges whose entity tag is the one that was built in before are passed over.
// A new list is refused with ErrRefused, the old one staying in place, when it
// lost more than a fiftieth of the entries or more than doubled them, when any
// range lost more than half of its own, or when more than one of the old
// canaries is gone.
//
// A load of new hashes into the published corpus touches nearly every range:
// updating saves the download between loads, and little at one.
func Update(ctx context.Context, opts UpdateOptions) (*UpdateResult, error) {
	old, err := Open(opts.File, Options{})
	if err != nil {
		return nil, err
	}
	defer old.Close()
	if old.info.Words {
		return nil, errors.New("wordlists: an index of words has no ranges to update")
	}
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	src, err := newUpdateSource(old, &opts)
	if err != nil {
		return nil, err
	}
	defer src.dir.Close()
	res := &UpdateResult{Info: old.info, Previous: old.info.Version}
	if src.found == 0 {
		return nil, &InputError{File: filepath.Base(opts.From), Err: ErrEmpty, Reason: "no range files"}
	}
	if src.changed == 0 {
		res.Unchanged = true
		return res, nil
	}
	b := &BuildOptions{
		Out: opts.File, Kind: old.kind, From: FromRanges, Full: old.full, Partial: old.info.Partial,
		Name: old.info.Name, Workers: opts.Workers, Now: opts.Now, Progress: opts.Progress,
	}
	a := &assembly{opts: b, res: &BuildResult{}, start: opts.Now(), keep: true}
	for _, c := range old.info.Canaries {
		if !src.take[prefixOf(&c.Key)] {
			a.canaries.insert(c)
		}
	}
	a.check = func(x *Index) error {
		if opts.Force {
			return nil
		}
		return checkSuccessor(old, x)
	}
	built, err := a.build(ctx, src)
	if err != nil {
		return nil, err
	}
	res.Info = built.Info
	res.Ranges, res.Segments = src.changed, int(src.rebuilt.Load())
	src.tags.of = built.Info.Version
	if err := src.tags.write(tagPath(opts.File)); err != nil {
		return nil, fmt.Errorf("the index is updated, but its tags are not: %w", err)
	}
	return res, nil
}

func prefixOf(key *Key) uint32 { return uint32(key.head() >> (64 - 20)) }

// checkSuccessor keeps an empty, truncated or foreign list from taking a good
// one's place. The bounds are those that Update describes.
func checkSuccessor(old, x *Index) error {
	was, is := old.info.Entries, x.info.Entries
	switch {
	case old.kind != x.kind:
		return fmt.Errorf("%w: it holds other hashes", ErrRefused)
	case is < was-was/50:
		return fmt.Errorf("%w: it has %d entries, the old one %d", ErrRefused, is, was)
	case is > 2*was+1000:
		return fmt.Errorf("%w: it has %d entries, the old one only %d", ErrRefused, is, was)
	case x.info.Partial && !old.info.Partial:
		return fmt.Errorf("%w: it is partial, the old one complete", ErrRefused)
	}
	missing := 0
	for _, c := range old.info.Canaries {
		found, err := x.Contains(c.Key)
		if err != nil {
			return err
		}
		if !found {
			missing++
		}
	}
	if missing > 1 {
		return fmt.Errorf("%w: %d of the old one's recorded members are gone", ErrRefused, missing)
	}
	return nil
}

// updateSource gives segments of an index with some ranges replaced.
type updateSource struct {
	old     *Index
	dir     *os.Root
	names   rangeNames
	force   bool
	take    []bool // ranges to read from dir
	found   int    // range files in dir
	changed int    // of them to be taken
	tags    *tagIndex
	rebuilt atomic.Int64
}

func newUpdateSource(old *Index, opts *UpdateOptions) (_ *updateSource, err error) {
	s := &updateSource{old: old, force: opts.Force, take: make([]bool, prefixCount)}
	if s.dir, err = os.OpenRoot(opts.From); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.dir.Close()
		}
	}()
	if s.tags, err = readTags(tagPath(opts.File)); err != nil {
		return nil, err
	}
	if s.tags.of != old.info.Version {
		s.tags = newTagIndex()
	}
	fetched, err := readTags(fetchedPath(opts.From, old.kind))
	if err != nil {
		return nil, err
	}
	if s.names, err = listRanges(s.dir); err != nil {
		return nil, err
	}
	for p, name := range s.names {
		if name == 0 {
			continue
		}
		s.found++
		tag := fetched.tags[p]
		if tag != "" && tag == s.tags.tags[p] {
			continue
		}
		s.take[p] = true
		s.tags.tags[p], s.tags.sizes[p] = tag, fetched.sizes[p]
		s.changed++
	}
	return s, nil
}

func (s *updateSource) sequential() bool { return false }
func (s *updateSource) identity() string { return "" }
func (s *updateSource) size() int64      { return 0 }

func (s *updateSource) state(int) (string, bool) { return "", false }

func (s *updateSource) segment(ctx context.Context, id int, w *worker) (err error) {
	defer catchFault(debug.SetPanicOnFault(true), &err)
	taken := 0
	for _, t := range s.take[id*perSegment:][:perSegment] {
		if t {
			taken++
		}
	}
	if taken == 0 {
		return s.copySegment(id, w)
	}
	s.rebuilt.Add(1)
	c := &s.old.cold[id]
	if c.row.layout != layoutEmpty {
		if err := s.old.checkSegment(id, new(segmentHeader)); err != nil {
			return err
		}
	}
	if !s.old.full && taken < perSegment && c.row.layout == layoutLines {
		// Heads are known only as far as this line count tells them.
		w.homes = uint64(c.row.homes)
	}
	for i := range perSegment {
		if err := ctx.Err(); err != nil {
			return err
		}
		prefix := uint32(id*perSegment + i)
		before := len(w.b.pos)
		if !s.take[prefix] {
			if err := s.carry(id, prefix, w); err != nil {
				return err
			}
			continue
		}
		name := s.names.of(prefix)
		if err := w.addRange(s.dir, name, prefix, s.old.kind); err != nil {
			return err
		}
		was, err := s.old.countPrefix(prefix)
		if err != nil {
			return err
		}
		if is := len(w.b.pos) - before; is < was/2 && was >= 8 && !s.force {
			return &InputError{File: name, Err: ErrRefused, Reason: fmt.Sprintf("it has %d entries, the old one %d", is, was)}
		}
	}
	if w.homes != 0 && uint64(len(w.b.pos)) > w.homes*slotsPerLine*98/100 {
		return errNeedsSegment
	}
	return nil
}

// copySegment brings a segment along as it is, once its checksums hold.
func (s *updateSource) copySegment(id int, w *worker) error {
	c := &s.old.cold[id]
	if c.row.layout == layoutEmpty {
		return nil
	}
	h := new(segmentHeader)
	if err := s.old.checkSegment(id, h); err != nil {
		return err
	}
	w.copied, w.raw = h, s.old.mem[c.row.offset:][:c.sec.end]
	return nil
}

// carry adds the entries of a prefix as the old index has them.
func (s *updateSource) carry(id int, prefix uint32, w *worker) error {
	if s.old.full {
		var key Key
		old := walker{x: s.old, prefix: prefix}
		for old.next() {
			for _, f := range old.buf[:old.n] {
				putHead(&key, f.head)
				copy(key[8:s.old.kind.Size()], old.tails[f.at:])
				w.b.add(&key, f.count)
			}
		}
		return old.err
	}
	if s.old.cold[id].row.layout == layoutEmpty {
		return nil
	}
	// What may be of this range is kept when the range below goes: better one
	// stale entry than one lost.
	straddling := prefix%perSegment > 0 && s.take[prefix-1]
	return s.old.walkPositions(prefix, straddling, func(pos uint64, n uint32) {
		w.b.pos = append(w.b.pos, pos)
		w.b.counts = append(w.b.counts, n)
	})
}

// countPrefix is the number of entries under a prefix.
func (x *Index) countPrefix(prefix uint32) (n int, err error) {
	if x.cold[prefix/perSegment].row.layout == layoutEmpty {
		return 0, nil
	}
	err = x.walkPositions(prefix, false, func(uint64, uint32) { n++ })
	return n, err
}

// previousPath is where Update keeps the index it replaced.
func previousPath(file string) string { return file + ".previous" }

// keepPrevious gives the present file a second name, and its manifest another
// one: whatever takes the file's place is not what that manifest speaks of.
func keepPrevious(file string) error {
	temp := previousPath(file) + ".new"
	if err := linkAnew(file, temp); err != nil {
		return err
	}
	if err := os.Rename(temp, previousPath(file)); err != nil {
		return err
	}
	return renameOrRemove(ManifestPath(file), ManifestPath(previousPath(file)))
}

// linkAnew gives a file a further name, which may be taken.
func linkAnew(file, name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Link(file, name)
}

// Rollback exchanges an index, and its manifest, for the one that the last
// Update or Replace put aside, once that one is read through and answers.
// Rolling back twice changes nothing.
func Rollback(ctx context.Context, file string) (Info, error) {
	previous := previousPath(file)
	x, err := Open(previous, Options{})
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, fmt.Errorf("there is nothing to go back to: %w", err)
	}
	if err != nil {
		return Info{}, err
	}
	if err = x.Verify(ctx); err == nil {
		err = x.CheckCanaries()
	}
	info := x.Info()
	if err = errors.Join(err, x.Close()); err != nil {
		return Info{}, err
	}
	temp := file + ".rollback"
	if err := linkAnew(file, temp); err != nil {
		return Info{}, err
	}
	if err := renameOrRemove(ManifestPath(file), ManifestPath(temp)); err != nil {
		return Info{}, err
	}
	// The file's name stands for a whole index at every moment.
	for _, move := range [][2]string{{previous, file}, {temp, previous}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			return Info{}, err
		}
		if err := renameOrRemove(ManifestPath(move[0]), ManifestPath(move[1])); err != nil {
			return Info{}, err
		}
	}
	return info, whole.SyncDir(filepath.Dir(file))
}
