// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

//go:build !wasip1

package wordlists

import (
	"errors"
	"fmt"
)

// Errors of an index file.
var (
	// ErrFormat is returned by Open for a file that is not an index, or one of
	// a version or with flags this package does not know.
	ErrFormat = errors.New("wordlists: not a WWIX index of a known version")
	// ErrCorrupt is returned by Open, Verify and every look-up that meets a
	// torn, truncated or altered part of the file. A look-up that returns it
	// knows nothing about the key: it is never to be read as "not listed".
	ErrCorrupt = errors.New("wordlists: index is damaged")
	// ErrHeadOnly is returned where whole hashes are needed (ranges, export)
	// and the index was built without them.
	ErrHeadOnly = errors.New("wordlists: index was built without whole hashes")
	// ErrCanary is returned by CheckCanaries when a recorded member is missing,
	// carries another count, or a random key is listed.
	ErrCanary = errors.New("wordlists: canary check failed")
)

// Errors of the input to Build and Update.
var (
	// ErrEmpty is returned for an input without a single entry.
	ErrEmpty = errors.New("input has no entries")
	// ErrSyntax is returned for a line that is not what the input format allows.
	ErrSyntax = errors.New("malformed line")
	// ErrOrder is returned for a line that is not above the one before it,
	// a duplicate included.
	ErrOrder = errors.New("line out of order or duplicated")
	// ErrTooLarge is returned for an input over its size budget.
	ErrTooLarge = errors.New("input over its size budget")
	// ErrSkewed is returned when so many entries share their first 12 bits that
	// they cannot be cryptographic hashes.
	ErrSkewed = errors.New("entries are not spread like hashes")
	// ErrIncomplete is returned when the input lacks what a complete corpus has.
	ErrIncomplete = errors.New("input is not a complete corpus")
	// ErrRefused is returned when a new list fails the bounds that keep a bad
	// list from replacing a good one. The old file is untouched.
	ErrRefused = errors.New("wordlists: new list refused")
)

// InputError tells where in its input Build or Update stopped. It wraps one of
// the input errors above and never quotes the input.
type InputError struct {
	File   string // base name of the file, empty for a plain reader
	Line   int64  // 1-based; 0 when no single line is at fault
	Offset int64  // byte offset of that line in the (inflated) file
	Reason string // what is wrong with the line, may be empty
	Err    error
}

func (e *InputError) Error() string {
	s := "wordlists: "
	if e.File != "" {
		s += e.File + ": "
	}
	if e.Line > 0 {
		s += fmt.Sprintf("line %d (offset %d): ", e.Line, e.Offset)
	}
	s += e.Err.Error()
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

func (e *InputError) Unwrap() error { return e.Err }
