// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Package mutant names faults that other systems had and that can be planted in
// this one, so that a test can be seen to catch each. A package with faults
// imports it in builds with the tag mutants only (faults_on.go); in every other
// one they are constants that are false, and nothing of them is left.
//
//	go test -tags mutants -run Mutants ./server
package mutant

import "os"

// Fault is a fault that can be planted.
type Fault string

// The faults.
const (
	UnknownUnhashed   Fault = "unknown-unhashed"   // an unknown subject is answered without a hash
	DisabledUnhashed  Fault = "disabled-unhashed"  // so is a disabled one
	CheckThenAct      Fault = "check-then-act"     // an attempt is charged when its outcome is known
	NamesApart        Fault = "names-apart"        // spellings of a name are counted apart
	LeftmostHop       Fault = "leftmost-hop"       // the hop that the client wrote is believed
	WholeIPv6         Fault = "whole-ipv6"         // each address of a /64 is counted by itself
	OpenWithoutStore  Fault = "open-without-store" // there is no limit while the store is lost
	ErrorsAreGuesses  Fault = "errors-are-guesses" // what the server could not do counts as a wrong guess
	RefusalsExtend    Fault = "refusals-extend"    // a refused attempt makes the wait longer
	BcryptCuts        Fault = "bcrypt-cuts"        // the password is cut after 72 bytes
	InvertedCompare   Fault = "inverted-compare"   // what differs is equal
	NotNormalised     Fault = "not-normalised"     // composed and decomposed text differ
	UpgradeOverwrites Fault = "upgrade-overwrites" // a hash made anew replaces a newer password
	MappedAddresses   Fault = "mapped-addresses"   // ::ffff:a.b.c.d is not a.b.c.d
	OpenRoutes        Fault = "open-routes"        // REST asks for no key
	AnyHost           Fault = "any-host"           // names that point at the loopback are served
	FaultsRepeat      Fault = "faults-repeat"      // what is malformed is repeated in the answer
	RawLines          Fault = "raw-lines"          // events hold line ends of other alphabets
	NoAnchor          Fault = "no-anchor"          // checkpoints are not looked at
	Unsynced          Fault = "unsynced"           // a write is acknowledged before it is durable
	OneLine           Fault = "one-line"           // tenants do not share, but whoever asks more gets more
	Formulas          Fault = "formulas"           // a cell of a report may be a formula
)

// All are the faults, in this order.
var All = []Fault{
	UnknownUnhashed, DisabledUnhashed, CheckThenAct, NamesApart, LeftmostHop, WholeIPv6, OpenWithoutStore,
	ErrorsAreGuesses, RefusalsExtend, BcryptCuts, InvertedCompare, NotNormalised, UpgradeOverwrites,
	MappedAddresses, OpenRoutes, AnyHost, FaultsRepeat, RawLines, NoAnchor, Unsynced, OneLine, Formulas,
}

// planted is the fault of this process.
var planted = Fault(os.Getenv("WATCHWORD_MUTANT"))

// Is tells whether f is planted.
func Is(f Fault) bool { return f == planted }
