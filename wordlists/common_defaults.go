// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import (
	_ "embed" // for the table below
	"iter"
	"strings"
)

// vendorDefaults has a line "user TAB password" for each pair of vendor
// default credentials, user names folded, in ascending order of lines. An
// empty user stands for products that ask for no user name.
//
//go:embed defaults.txt
var vendorDefaults string

// IsVendorDefault reports whether some product is delivered with this user
// name and password. User names are compared without regard to case and
// width, passwords exactly. Either may be empty.
func IsVendorDefault(user, password []byte) bool {
	for known := range VendorPasswords(user) {
		if known == string(password) {
			return true
		}
	}
	return false
}

// VendorPasswords yields the passwords that products are delivered with for
// this user name, which is compared as in IsVendorDefault, in ascending order
// and each once. No name has more than a thousand.
func VendorPasswords(user []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		var inline [64]byte
		name, _ := appendFold(inline[:0], user)
		name = append(name, '\t')
		rest := linesFrom(vendorDefaults, string(name))
		for strings.HasPrefix(rest, string(name)) {
			line, after, _ := strings.Cut(rest, "\n")
			if !yield(line[len(name):]) {
				return
			}
			rest = after
		}
	}
}

// linesFrom returns the end of the sorted lines text that starts with the
// first line not less than key.
func linesFrom(text, key string) string {
	lo, hi := 0, len(text) // both at the start of a line or at the end
	for lo < hi {
		mid := (lo + hi) / 2
		start := lo + strings.LastIndexByte(text[lo:mid], '\n') + 1
		end := len(text)
		if i := strings.IndexByte(text[start:], '\n'); i >= 0 {
			end = start + i + 1
		}
		if strings.TrimSuffix(text[start:end], "\n") < key {
			lo = end
		} else {
			hi = start
		}
	}
	return text[lo:]
}
