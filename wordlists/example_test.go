// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package wordlists_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/watchword-project/watchword/wordlists"
)

// exampleIndex builds an index of four words in a new folder.
func exampleIndex() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "wordlists")
	if err != nil {
		panic(err)
	}
	path = filepath.Join(dir, "mine.wwix")
	_, err = wordlists.Build(context.Background(), wordlists.BuildOptions{
		Reader: strings.NewReader("tulip field 7\ntulip field 7\nsecond word\nthird word\n"),
		Out:    path, From: wordlists.FromWords, Full: true,
	})
	if err != nil {
		panic(err)
	}
	return path, func() { os.RemoveAll(dir) }
}

// The list that is built in needs no file.
func ExampleCommon() {
	list := wordlists.Common()
	for _, pw := range []string{"P@ssw0rd!!!", "woaini1314", "lantern orbit tangled walrus"} {
		m, found := list.Match([]byte(pw))
		fmt.Println(found, m.Form&wordlists.FormAffix != 0)
	}
	// Output:
	// true true
	// true false
	// false false
}

// Words become an index, which is asked by hash.
func ExampleBuild() {
	path, remove := exampleIndex()
	defer remove()

	x, err := wordlists.Open(path, wordlists.Options{})
	if err != nil {
		panic(err)
	}
	defer x.Close()
	for _, pw := range []string{"tulip field 7", "no such word"} {
		n, listed, err := x.Count(x.Kind().Key([]byte(pw)))
		if err != nil {
			panic(err) // nothing is known about pw
		}
		fmt.Println(listed, n)
	}
	// Output:
	// true 2
	// false 0
}

// A prefix of five digits is answered as the public range service does.
func ExampleIndex_AppendRange() {
	path, remove := exampleIndex()
	defer remove()
	x, err := wordlists.Open(path, wordlists.Options{})
	if err != nil {
		panic(err)
	}
	defer x.Close()

	key := x.Kind().Key([]byte("tulip field 7"))
	prefix := uint32(key[0])<<12 | uint32(key[1])<<4 | uint32(key[2])>>4
	body, _, err := x.AppendRange(nil, prefix, wordlists.PadNone)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", body)
	// Output: 5C70D55B35ACD09785F4E033FCA68042430:2
}

// A server exchanges the file while look-ups go on. What is damaged, empty or
// looks like another list is refused, and the one in use answers on.
func ExampleHandle() {
	path, remove := exampleIndex()
	defer remove()
	ctx := context.Background()

	var h wordlists.Handle
	if _, err := h.Load(ctx, path, wordlists.LoadOptions{}); err != nil {
		panic(err)
	}
	defer h.Swap(nil)

	if err := os.WriteFile(path+".new", []byte("half a downl"), 0o600); err != nil {
		panic(err)
	}
	_, err := h.Load(ctx, path+".new", wordlists.LoadOptions{})
	fmt.Println(err)

	x := h.Acquire()
	defer x.Close()
	fmt.Println(x.Contains(x.Kind().Key([]byte("second word"))))
	// Output:
	// opening index: wordlists: not a WWIX index of a known version
	// true <nil>
}

// Close variants of a password tell whether it is one guess away from a
// breached one.
func ExampleTweaks() {
	for t := range wordlists.Tweaks([]byte("Summer2025"), 4) {
		fmt.Printf("%s\n", t)
	}
	// Output:
	// Summer2026
	// Summer2024
	// Summer202
	// Summer
}
