// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tagIndex remembers which content of each range is at hand: an entity tag as
// the server gave it, or a digest where it gave none. Beside a folder of
// ranges it says what was fetched, beside an index what was built in.
//
// On disk it is a text file of lines: "for WORD" says what it belongs to,
// "begin UNIX" and "end" enclose a fetch, and "PREFIX SIZE TAG" is one range.
// It is only ever appended to or replaced whole.
type tagIndex struct {
	of    string // version of the index it belongs to
	tags  []string
	sizes []int64
	// The fetch that was going on when the file ends, if any.
	begun time.Time
	since map[uint32]bool // ranges got in it
}

func newTagIndex() *tagIndex {
	return &tagIndex{tags: make([]string, prefixCount), sizes: make([]int64, prefixCount), since: map[uint32]bool{}}
}

// readTags reads a tag file. One that is missing or makes no sense is as good
// as empty: it only saves work.
func readTags(path string) (*tagIndex, error) {
	t := newTagIndex()
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "for":
			t.of = rest
		case "begin":
			if sec, err := strconv.ParseInt(rest, 10, 64); err == nil {
				t.begun = time.Unix(sec, 0)
				clear(t.since)
			}
		case "end":
			t.begun = time.Time{}
			clear(t.since)
		default:
			size, tag, _ := strings.Cut(rest, " ")
			p, err1 := strconv.ParseUint(word, 16, 20)
			n, err2 := strconv.ParseInt(size, 10, 64)
			if err1 != nil || err2 != nil || tag == "" {
				continue // the end of a line that a crash cut short
			}
			t.tags[p], t.sizes[p] = tag, n
			if !t.begun.IsZero() {
				t.since[uint32(p)] = true
			}
		}
	}
	return t, lines.Err()
}

// write replaces the file whole.
func (t *tagIndex) write(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriterSize(f, 1<<20)
	if t.of != "" {
		fmt.Fprintf(w, "for %s\n", t.of)
	}
	for p, tag := range t.tags {
		if tag != "" {
			fmt.Fprintf(w, "%05X %d %s\n", p, t.sizes[p], tag)
		}
	}
	if err := errors.Join(w.Flush(), f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// tagPath is where an index's tags are kept.
func tagPath(index string) string { return index + ".tags" }

// fetchedPath is where a folder of ranges keeps its tags.
func fetchedPath(dir string, kind Kind) string { return filepath.Join(dir, kind.String()+".tags") }
