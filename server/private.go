// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"github.com/watchword-project/watchword/wordlists"
	"github.com/watchword-project/watchword/wordlists/private"
)

type corpusPrivateCmd struct {
	Build corpusPrivateBuildCmd `cmd:"" help:"Build a private list from words."`
}

type corpusPrivateBuildCmd struct {
	Words  string `help:"File of words, one a line, or - for standard input."`
	Ranked bool   `help:"Take the 100,000 most common passwords that are built in, with those of --words or alone."`
	Out    string `required:"" help:"List to write." type:"path"`
	Key    string `required:"" help:"File of the list's key, made when there is none." type:"path"`
	Bucket int    `default:"1000" help:"Records that a bucket has at least, on average: more of them tell the server less and take longer to send."`
}

func (b *corpusPrivateBuildCmd) Run() (err error) {
	if b.Words == "" && !b.Ranked {
		return errors.New("nothing to build from: name --words, --ranked or both")
	}
	var sources []iter.Seq2[[]byte, error]
	if b.Ranked {
		sources = append(sources, func(yield func([]byte, error) bool) {
			for w := range wordlists.Ranked() {
				if !yield([]byte(w), nil) {
					return
				}
			}
		})
	}
	switch b.Words {
	case "":
	case "-":
		sources = append(sources, private.Lines(os.Stdin))
	default:
		f, err := os.Open(b.Words)
		if err != nil {
			return err
		}
		defer f.Close()
		sources = append(sources, private.Lines(f))
	}
	key, err := listKey(b.Key)
	if err != nil {
		return err
	}
	words := int64(0)
	draw := progress(func() string { return fmt.Sprintf("%d words", words) })
	return interruptible(func(ctx context.Context) error {
		h, skipped, err := private.Build(ctx, b.Out, private.BuildOptions{Key: key, Bucket: b.Bucket, Words: inTurn(sources),
			Progress: func(n int64) { words = n; draw(false) }})
		if err != nil {
			return err
		}
		fmt.Printf("%d records, %d lines left out, %d buckets of %d slots\nversion %s\n", h.Records, skipped, 1<<h.Bits, h.Slots, h.Version())
		return nil
	})
}

// inTurn yields what each source yields, until one yields an error.
func inTurn(sources []iter.Seq2[[]byte, error]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, s := range sources {
			for word, err := range s {
				if !yield(word, err) || err != nil {
					return
				}
			}
		}
	}
}

// listKey reads a key, or makes one.
func listKey(path string) (*private.Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := private.NewKey()
		if err != nil {
			return nil, err
		}
		return key, writeNew(path, key.Text(), 0o600)
	}
	if err != nil {
		return nil, err
	}
	key, err := private.ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}
