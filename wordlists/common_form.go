// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists

import "strings"

// Form is the set of foldings that lead from a string to the listed one.
// FormExact is the empty set.
type Form uint8

const (
	FormExact    Form = 0
	FormCase     Form = 1 << 0 // capital and small letters differ
	FormWidth    Form = 1 << 1 // full-width letters, digits or signs
	FormLeet     Form = 1 << 2 // digits and signs stand for letters
	FormReversed Form = 1 << 3 // spelled backwards
	FormAffix    Form = 1 << 4 // digits, signs or spaces before or after
	FormRepeated Form = 1 << 5 // written more than once
)

var formNames = [...]string{"case", "width", "leet", "reversed", "affix", "repeated"}

// String returns the names of the foldings joined by "+", such as
// "case+affix", and "exact" for none.
func (f Form) String() string {
	if f == FormExact {
		return "exact"
	}
	var names []string
	for i, name := range formNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}
