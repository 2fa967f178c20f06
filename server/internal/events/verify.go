// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package events

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Report is what Verify found.
type Report struct {
	// Events is how many lines hold together, from the first on.
	Events uint64
	// Intact is false when anything is not as it was written.
	Intact bool
	// BrokenAt is the first sequence number at which it is not, and Why says
	// what was found there.
	BrokenAt uint64
	Why      string
	// Newest is the latest time among those lines.
	Newest time.Time
}

// What Verify can find.
const (
	whyLine       = "this is not a line of the log"
	whyChain      = "the line is not the one that was written after the line before it"
	whySequence   = "a line is missing, or stands in another's place"
	whyTorn       = "the last line is cut short: somebody cut it, or the machine stopped while it was written, and the next start will say so"
	whyFirst      = "lines are missing before this one, and no purge accounts for them"
	whyCut        = "lines that a checkpoint saw are missing at the end"
	whyMark       = "a checkpoint saw another line here"
	whyMarks      = "a checkpoint is not what was signed"
	whyNoMarks    = "there is no checkpoint, so a cut end could not be seen"
	whyEmpty      = "there is no event log"
	whyHead       = "lines that the running server wrote are missing at the end"
	whyRecordedAs = "the server found the log changed at an earlier start"
)

// Verify reads the whole log and every checkpoint. Of Config it needs Path,
// Checkpoint, Key and Sign. An error means that it could not be read.
func Verify(c Config) (Report, error) {
	files, err := openSegments(c.Path)
	if err != nil {
		return Report{}, err
	}
	defer closeAll(files)
	return verify(c, files, math.MaxUint64, mac{})
}

// Verify is Verify for a log that is being written: it stops at the newest
// line, which the running server remembers.
func (l *Log) Verify() (Report, error) {
	files, s, err := l.snapshot()
	if err != nil {
		return Report{}, err
	}
	defer closeAll(files)
	return verify(l.c, files, s.head, s.last)
}

// snapshot opens the files of a log in use, all at one moment.
func (l *Log) snapshot() ([]*os.File, state, error) {
	l.turning.RLock()
	defer l.turning.RUnlock()
	s := *l.state.Load()
	files, err := openSegments(l.c.Path)
	return files, s, err
}

func openSegments(path string) ([]*os.File, error) {
	names, err := segments(path)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, name := range names {
		f, err := openRead(name)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func verify(c Config, files []*os.File, head uint64, last mac) (Report, error) {
	marks, torn, err := readCheckpoints(c.Checkpoint, c.Sign.Public().(ed25519.PublicKey))
	damaged := errors.Is(err, errCheckpoint) || errors.Is(err, errLine) || torn && head == math.MaxUint64
	if err != nil && !damaged {
		return Report{}, err
	}
	if plantNoAnchor {
		marks, damaged = nil, false
	}
	seen := make(map[uint64]string, len(marks))
	for _, m := range marks {
		if m.Seq <= head {
			if other, twice := seen[m.Seq]; twice && other != m.Mac {
				damaged = true
			}
			seen[m.Seq] = m.Mac
		}
	}
	var (
		n, next uint64
		at      mac
		newest  time.Time
		bad     *Report
	)
	broken := func(n, at uint64, why string) (Report, error) {
		return Report{Events: n, BrokenAt: at, Why: why, Newest: newest}, nil
	}
	stop := func(seq uint64, why string) { bad = &Report{Events: n, BrokenAt: seq, Why: why, Newest: newest} }
	for _, file := range files {
		err := eachLine(file, func(line []byte, ended bool) bool {
			if next > head && next != 0 {
				return false
			}
			if !ended {
				stop(max(next, 1), whyTorn)
				return false
			}
			e, body, m, err := parseLine(line)
			if err != nil {
				stop(max(next, 1), whyLine)
				return false
			}
			if next == 0 {
				switch {
				case e.Sequence == 1:
					at, next = genesis(c.Key), 1
				case e.Sequence == 0:
					stop(1, whySequence)
					return false
				default:
					anchor, ok := purged(files, e.Sequence)
					if !ok {
						stop(e.Sequence, whyFirst)
						return false
					}
					at, next = anchor, e.Sequence
				}
			}
			switch mark, marked := seen[next]; {
			case e.Sequence != next:
				stop(next, whySequence)
			case chain(c.Key, at, body) != m:
				stop(next, whyChain)
			case marked && mark != m.String():
				stop(next, whyMark)
			case e.Type == typeBroken:
				stop(next, whyRecordedAs)
			default:
				at = m
				n++
				next++
				if e.Time.After(newest) {
					newest = e.Time
				}
				return true
			}
			return false
		})
		if err != nil && !errors.Is(err, errLine) {
			return Report{}, err
		}
		if err != nil && bad == nil {
			stop(max(next, 1), whyLine)
		}
		if bad != nil {
			return *bad, nil
		}
	}
	switch {
	case next == 0 && len(marks) == 0:
		return broken(0, 1, whyEmpty)
	case next == 0:
		return broken(0, 1, whyCut)
	case head != math.MaxUint64 && (next != head+1 || at != last):
		return broken(n, next, whyHead)
	case newestOf(marks).Seq >= next && head == math.MaxUint64:
		return broken(n, next, whyCut)
	case damaged:
		return broken(n, next, whyMarks)
	case len(marks) == 0 && !plantNoAnchor:
		return broken(n, next, whyNoMarks)
	}
	return Report{Events: n, Intact: true, Newest: newest}, nil
}

// purged gives the chain value before a line with which the log begins since
// lines were purged. It is taken on trust here: the chain behind it, which ends
// in the very event that holds it, would not hold with another.
func purged(files []*os.File, first uint64) (m mac, ok bool) {
	for e, err := range walk(files) {
		if err != nil {
			return m, false
		}
		if e.Type != typePurge || e.Params["first"] != strconv.FormatUint(first, 10) {
			continue
		}
		if got, valid := parseMac(e.Params["mac"]); valid {
			m, ok = got, true
		}
	}
	return m, ok
}

// eachLine reads a file from its beginning, wherever it was read before.
func eachLine(file *os.File, f func(line []byte, ended bool) bool) error {
	for r := bufio.NewReader(io.NewSectionReader(file, 0, math.MaxInt64)); ; {
		line, ended, err := readLine(r)
		if err != nil || len(line) == 0 && !ended || !f(line, ended) {
			return err
		}
	}
}

// walk yields the events of files, without holding them against the chain.
func walk(files []*os.File) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for _, file := range files {
			more := true
			err := eachLine(file, func(line []byte, ended bool) bool {
				if !ended {
					return false
				}
				e, _, _, err := parseLine(line)
				more = yield(e, err) && err == nil
				return more
			})
			if err != nil {
				yield(Event{}, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// Events yields the durable events from a sequence number on.
func (l *Log) Events(from uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		files, s, err := l.snapshot()
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer closeAll(files)
		// Files that end before it are passed over.
		kept := files
		for len(kept) > 1 {
			second, ok := firstOf(l.c.Path, filepath.Base(kept[1].Name()))
			if !ok || second > from {
				break
			}
			kept = kept[1:]
		}
		for e, err := range walk(kept) {
			if err == nil && e.Sequence < from {
				continue
			}
			if err == nil && e.Sequence > s.head || !yield(e, err) {
				return
			}
		}
	}
}

// Purge drops the files whose newest event is older than a time, one after the
// other, and records before each the first line that is kept with the chain
// value before it. The file in use stays; one that has become old is closed
// first. It returns how many events went.
func (l *Log) Purge(ctx context.Context, before time.Time) (gone uint64, err error) {
	if newest, _, _, err := lastOf(l.c.Path); err == nil && newest.Sequence > 0 && newest.Time.Before(before) {
		if err := l.Append(ctx, l.event(typeTurn, nil)); err != nil {
			return 0, err
		}
	}
	names, err := segments(l.c.Path)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if name == l.c.Path {
			break
		}
		newest, n, at, err := lastOf(name)
		if err != nil || n == 0 || !newest.Time.Before(before) {
			return gone, err
		}
		e := l.event(typePurge, map[string]string{"first": strconv.FormatUint(newest.Sequence+1, 10), "mac": at.String(), "events": strconv.FormatUint(n, 10)})
		if err := l.Append(ctx, e); err != nil {
			return gone, err
		}
		if err := os.Remove(name); err != nil {
			return gone, err
		}
		gone += n
	}
	if gone == 0 {
		return 0, nil
	}
	return gone, syncDir(filepath.Dir(l.c.Path))
}

// lastOf gives the last event of a file, and how many it has.
func lastOf(name string) (newest Event, n uint64, at mac, err error) {
	f, err := openRead(name)
	if err != nil {
		return Event{}, 0, mac{}, err
	}
	defer f.Close()
	err = eachLine(f, func(line []byte, _ bool) bool {
		if e, _, m, err := parseLine(line); err == nil {
			newest, at = e, m
			n++
		}
		return true
	})
	return newest, n, at, err
}
