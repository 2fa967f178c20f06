// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Command mktables builds the embedded tables of package strength from the
// named inputs in a folder. The same inputs give the same bytes on every
// machine. With -eval it instead leaves passwords out and reports how well they
// are judged; with -tune it leaves others out, for choosing settings.
//
//	WATCHWORD_DATA=DIR go generate ./server/internal/strength
//	WATCHWORD_DATA=DIR go run ./server/internal/strength/mktables -eval
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/watchword-project/watchword/server/internal/strength"
)

func main() {
	data := flag.String("data", os.Getenv("WATCHWORD_DATA"), "folder of the xz-compressed inputs (default: $WATCHWORD_DATA)")
	out := flag.String("out", "", "file to write the tables to")
	eval := flag.Bool("eval", false, "report figures on passwords left out of the lists")
	tune := flag.Bool("tune", false, "report figures on those left out for choosing settings")
	flag.Parse()
	if err := run(inputs{*data}, *out, *eval, *tune); err != nil {
		fmt.Fprintln(os.Stderr, "mktables:", err)
		os.Exit(1)
	}
}

func run(in inputs, out string, eval, tune bool) error {
	if in.dir == "" {
		return errors.New("no input folder: give -data or set WATCHWORD_DATA")
	}
	switch {
	case eval:
		return evaluate(in, os.Stdout)
	case tune:
		_, calib, err := halfTables(in)
		if err != nil {
			return err
		}
		return leftOut(in, calib, partsToChoose, os.Stdout)
	}
	b, err := build(in)
	if err != nil {
		return err
	}
	return os.WriteFile(out, b, 0o644)
}

// build makes the tables: the curve of the last step is fitted on a model
// that has seen half of the passwords, and put on the model that has seen all.
func build(in inputs) ([]byte, error) {
	half, err := tables(in, firstHalf, identity)
	if err != nil {
		return nil, err
	}
	calib, err := calibrate(in, half)
	if err != nil {
		return nil, err
	}
	src, err := source(in, all, calib)
	if err != nil {
		return nil, err
	}
	return strength.Compile(src)
}

// tables makes a model from the passwords that keep selects.
func tables(in inputs, keep selection, calib []strength.Knot) (*strength.Model, error) {
	src, err := source(in, keep, calib)
	if err != nil {
		return nil, err
	}
	b, err := strength.Compile(src)
	if err != nil {
		return nil, err
	}
	return strength.Parse(b)
}

func source(in inputs, keep selection, calib []strength.Knot) (strength.Source, error) {
	var src strength.Source
	c, err := readCorpus(in, keep)
	if err != nil {
		return src, err
	}
	ts, err := lexicon(in, c)
	if err != nil {
		return src, err
	}
	if err := learn(in, ts, c); err != nil {
		return src, err
	}
	src.Entries = ts.entries()
	ch := train(c, chosen)
	src.Grams, src.Unigrams = ch.costs()
	src.Markov = ranks(ch)
	src.Calib = calib
	if src.Readings, err = readings(in); err != nil {
		return src, err
	}
	if src.Areas, err = areas(in); err != nil {
		return src, err
	}
	src.Logs = logs()
	return src, nil
}

func logs() []int {
	out := []int{0}
	for n := 1; n <= strength.MaxRunes; n++ {
		out = append(out, round(1000*log10(float64(n))))
	}
	return out
}

// selection decides which lines of which list are used.
type selection func(list, text string) bool

func all(list, text string) bool        { return true }
func firstHalf(list, text string) bool  { return !secondHalf(list, text) }
func secondHalf(list, text string) bool { return hashText(text)&1 == 1 }

// hashText is FNV-1a; the same password falls in the same half wherever it
// stands.
func hashText(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h ^ h>>15
}

var identity = []strength.Knot{{X: 0, Y: 0}}
